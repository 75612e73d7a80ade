"""The weights manager: what there is, and fetching, verifying, importing and removing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .model_line import ModelLine
from .panel_dialogs import Dialogs
from .panel_qt import Toolkit, put, say, show, stretch
from .view_model import PanelModel

_KINDS = "Weights (*.safetensors *.zip *.pt *.bin *.gz);;All files (*)"


class WeightsPage:
    """Works on the chosen model; a licence that must be accepted is shown first."""

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, dialogs: Dialogs) -> None:
        self._ui, self._weights, self._qt, self._dialogs = ui, model.weights, toolkit.qt, dialogs
        self._models: tuple[ModelLine, ...] = ()
        self._then: Callable[[bool], None] | None = None
        toolkit.connect(ui.modelsTree, "itemSelectionChanged()", self.refresh)
        toolkit.connect(ui.fetchButton, "clicked()", self._on_fetch)
        toolkit.connect(ui.verifyButton, "clicked()", self._on_verify)
        toolkit.connect(ui.removeButton, "clicked()", self._on_remove)
        toolkit.connect(ui.importFileButton, "clicked()", lambda: self._on_import(self._file))
        toolkit.connect(ui.importFolderButton, "clicked()", lambda: self._on_import(self._folder))
        toolkit.connect(ui.stopButton, "clicked()", self._weights.cancel)
        stretch(ui.modelsTree, toolkit.qt.QHeaderView)

    def refresh(self) -> None:
        """Show what is known."""
        ui, view, line = self._ui, self._weights.view(), self._line()
        if view.models != self._models:
            self._models = view.models
            self._build()
            line = self._line()
        is_busy = bool(view.busy_with)
        say(ui.modelText, _about(line) if line else "")
        can_fetch = line is not None and line.place == "hub" and not is_busy
        put(ui.fetchButton, enabled=can_fetch and not view.is_offline)
        put(ui.removeButton, enabled=line is not None and line.place == "fetched" and not is_busy)
        put(ui.verifyButton, enabled=bool(view.models) and not is_busy)
        for button in (ui.importFileButton, ui.importFolderButton):
            put(button, enabled=can_fetch)
        put(ui.stopButton, enabled=is_busy)
        show(ui.weightsBar, is_busy)
        put(ui.weightsBar, maximum=0 if view.percent is None else 100, value=view.percent or 0)
        doing = f"{view.busy_with}: {view.stage or 'working'}…" if is_busy else view.message
        say(ui.weightsLabel, "\n".join(filter(None, (doing, _where(view)))))
        self._ask_when_read()

    def _build(self) -> None:
        tree, chosen = self._ui.modelsTree, self._chosen()
        was_blocked = tree.blockSignals(True)
        tree.clear()
        for line in sorted(self._models, key=lambda line: not line.is_here):
            item = self._qt.QTreeWidgetItem()
            for column, text in enumerate((line.title, line.size, line.where)):
                item.setText(column, text)
                item.setToolTip(column, line.line)
            item.setData(0, self._qt.Qt.UserRole, line.id)
            tree.addTopLevelItem(item)
            if line.id == chosen:
                tree.setCurrentItem(item)
        tree.blockSignals(was_blocked)

    def _chosen(self) -> str:
        items = self._ui.modelsTree.selectedItems()
        return (items[0].data(0, self._qt.Qt.UserRole) or "") if items else ""

    def _line(self) -> ModelLine | None:
        return self._weights.model(self._chosen())

    def _on_fetch(self) -> None:
        line = self._line()
        if line is not None:
            self._after_licence(line, lambda accepted: self._weights.pull(line.id, accepted))

    def _on_import(self, choose: Callable[[ModelLine], str]) -> None:
        line = self._line()
        path = choose(line) if line is not None else ""
        if path:
            self._after_licence(line, lambda accepted: self._weights.take_in(line.id, path, accepted))

    def _on_verify(self) -> None:
        self._weights.verify(self._chosen())

    def _on_remove(self) -> None:
        line = self._line()
        if line is not None:
            self._weights.remove(line.id)

    def _file(self, line: ModelLine) -> str:
        return self._dialogs.file(f"Weights of {line.title}", _KINDS)

    def _folder(self, line: ModelLine) -> str:
        return self._dialogs.folder(f"Folder with the weights of {line.title}")

    def _after_licence(self, line: ModelLine, act: Callable[[bool], None]) -> None:
        """Do it, where a licence is to be accepted only once the user has seen and accepted it."""
        if not line.must_accept:
            act(False)
            return
        self._then = lambda accepted: act(True) if accepted else None
        self._weights.licence.ask({"model": line.id})

    def _ask_when_read(self) -> None:
        """Show the licence that has come, after this call: a window of its own would hold up the timer."""
        licence = self._weights.licence
        if self._then is None or licence.is_busy:
            return
        then, self._then = self._then, None
        if licence.answer is None:
            say(self._ui.weightsLabel, licence.problem)
            return
        title, question, text = licence.answer
        self._qt.QTimer.singleShot(0, lambda: then(self._dialogs.agrees(title, question, text)))


def _about(line: ModelLine) -> str:
    access = f"Access: {line.access}" if line.is_gated and line.access else ""
    covers = f"Covers: {', '.join(name.replace('_', ' ') for name in line.covers)}." if line.covers else ""
    limits = f"Limits: {'; '.join(line.limits)}." if line.limits else ""
    return "\n".join(filter(None, (line.line, line.summary, line.intended_use, access, covers, limits)))


def _where(view: Any) -> str:
    offline = "Offline: nothing is fetched. " if view.is_offline else ""
    return f"{offline}Fetched weights are in {view.cache}, {view.free}." if view.cache else offline
