"""What the panel asks in windows of their own, and the one thing that it opens outside."""

from __future__ import annotations

from typing import Any

from .panel_qt import Toolkit


class Dialogs:
    """Asks the user.

    Args:
        toolkit: Qt.
        parent: the panel's widget.
    """

    def __init__(self, toolkit: Toolkit, parent: Any) -> None:
        self._qt, self._parent = toolkit.qt, parent

    def file(self, title: str, kinds: str = "") -> str:
        """Choose a file that is there; "" for none. `kinds` is as in "Weights (*.safetensors *.zip)"."""
        return _path(self._qt.QFileDialog.getOpenFileName(self._parent, title, "", kinds))

    def new_file(self, title: str, suggested: str, kinds: str) -> str:
        """Choose where to write; "" for nowhere."""
        return _path(self._qt.QFileDialog.getSaveFileName(self._parent, title, suggested, kinds))

    def folder(self, title: str) -> str:
        """Choose a folder; "" for none."""
        return _path(self._qt.QFileDialog.getExistingDirectory(self._parent, title))

    def agrees(self, title: str, question: str, details: str = "") -> bool:
        """Whether the user agrees; `details` can be unfolded and scrolled."""
        box = self._qt.QMessageBox(self._parent)
        box.setWindowTitle(title)
        box.setText(question)
        if details:
            box.setDetailedText(details)
        yes = box.addButton("Accept", self._qt.QMessageBox.AcceptRole)
        no = box.addButton("Do not accept", self._qt.QMessageBox.RejectRole)
        box.setDefaultButton(no)
        box.exec()  # PythonQt has it too, beside `exec_`
        return box.clickedButton() == yes

    def open(self, path: str) -> bool:
        """Open a file with the program that the computer has for it; whether there is one."""
        return bool(self._qt.QDesktopServices.openUrl(self._qt.QUrl.fromLocalFile(path)))

    def copy(self, text: str) -> None:
        """Put a text on the clipboard."""
        self._qt.QApplication.clipboard().setText(text)


def _path(answer: Any) -> str:
    """PythonQt gives the path, PySide6 the path and the kind of file."""
    return str(answer[0] if isinstance(answer, tuple) else answer or "")
