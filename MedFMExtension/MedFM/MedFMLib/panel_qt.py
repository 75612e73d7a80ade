"""The few words in which Qt inside Slicer (PythonQt) and outside (PySide6 by Qt.py) differ, said in one way.

Properties are read and written by name, and signals are connected by their C++ signature: both work alike in the two.
Everything else that the panel calls is a plain method in both.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class Toolkit:
    """Qt as it is here.

    Args:
        names: all classes of Qt in one namespace.
        is_pythonqt: whether signals are connected by `sender.connect(signature, slot)`.
    """

    def __init__(self, names: Any, is_pythonqt: bool) -> None:
        self.qt, self._is_pythonqt = names, is_pythonqt

    def connect(self, sender: Any, signature: str, slot: Callable[..., object]) -> None:
        """Call `slot` with a signal's values.

        Args:
            sender: the widget.
            signature: such as "clicked()" or "currentIndexChanged(int)".
            slot: takes as many values as the signature has.

        Raises:
            ValueError: there is no such signal.
        """
        name, _, kinds = signature.partition("(")
        count = len([kind for kind in kinds.rstrip(")").split(",") if kind])
        if not self._is_pythonqt:
            signal = getattr(sender, name, None)
            if signal is None:
                raise ValueError(f"{signature} is no signal of {type(sender).__name__}")
            signal.connect(_of_so_many(slot, count))
        elif not sender.connect(signature, slot):
            raise ValueError(f"{signature} is no signal of {sender.className()}")


def _of_so_many(slot: Callable[..., object], count: int) -> Callable[..., object]:
    """The slot with so many values: by their number PySide6 chooses among signals of one name."""
    return (lambda: slot(), lambda first: slot(first), lambda first, second: slot(first, second))[count]


def get(widget: Any, name: str) -> Any:
    """A property of a widget."""
    return widget.property(name)


def put(widget: Any, **properties: Any) -> None:
    """Set properties where they differ, without the signals that would tell the panel of its own doing."""
    was_blocked = widget.blockSignals(True)
    for name, value in properties.items():
        if widget.property(name) != value:
            widget.setProperty(name, value)
    widget.blockSignals(was_blocked)


def stretch(tree: Any, header_view: Any) -> None:
    """Let the first column of a tree take the room that the others leave."""
    tree.header().setStretchLastSection(False)
    tree.header().setSectionResizeMode(header_view.ResizeToContents)
    tree.header().setSectionResizeMode(0, header_view.Stretch)


def show(widget: Any, visible: bool) -> None:
    """Show a widget or not, whatever is around it."""
    if widget.isHidden() == visible:
        widget.setVisible(visible)


def say(label: Any, text: str) -> None:
    """Set a label's text, and take no room where there is none."""
    put(label, text=text)
    show(label, bool(text))
    height = label.heightForWidth(get(label, "width")) if text and get(label, "visible") else 0
    if height > 0 and get(label, "minimumHeight") != height:  # a scroll area gives wrapped lines too little room
        label.setMinimumHeight(height)


def fill(box: Any, entries: tuple[tuple[str, str, str], ...], chosen: str, tool_tip_role: int) -> None:
    """Make the lines of a menu anew where they differ, and choose one.

    Args:
        box: a QComboBox.
        entries: what each line stands for, its text and its tool tip.
        chosen: what is chosen; the first line where it is not among them.
        tool_tip_role: `Qt.ToolTipRole`.
    """
    was_blocked = box.blockSignals(True)
    now = tuple((box.itemData(row), box.itemText(row)) for row in range(get(box, "count")))
    if now != tuple(entry[:2] for entry in entries):
        box.clear()
        for row, (value, text, tip) in enumerate(entries):
            box.addItem(text, value)
            box.setItemData(row, tip or text, tool_tip_role)
    values = [entry[0] for entry in entries]
    row = values.index(chosen) if chosen in values else 0
    if entries and get(box, "currentIndex") != row:
        box.setCurrentIndex(row)
    box.blockSignals(was_blocked)


def chosen_of(box: Any) -> str:
    """What the chosen line of a menu stands for; "" for nothing."""
    return box.itemData(get(box, "currentIndex")) or ""


def slicer_toolkit() -> Toolkit:
    """Qt inside Slicer."""
    import qt

    return Toolkit(qt, True)


def plain_toolkit() -> Toolkit:
    """Qt outside Slicer.

    Raises:
        ImportError: Qt.py or PySide6 is not installed.
    """
    from Qt import QtCore, QtGui, QtWidgets

    names = SimpleNamespace()
    for part in (QtCore, QtGui, QtWidgets):
        vars(names).update({name: getattr(part, name) for name in dir(part) if name.startswith("Q")})
    return Toolkit(names, False)
