"""The list of findings by organ, its filter and search, and what a choice in it does."""

from __future__ import annotations

from typing import Any

from .findings_table import STATE_WORDS, FindingRow, OrganGroup
from .panel_dialogs import Dialogs
from .panel_qt import Toolkit, get, put, say, stretch
from .view_model import PanelModel
from .whole_body import body_text

_BETWEEN = "\n"
_NO_MAP = "No saliency map was made for this finding: maps are made for findings that are called present."
_NOT_CARRIED = "The scene has no saliency map of this finding: it keeps those that were shown before it was saved."


class FindingsPage:
    """Copies the groups into the tree, and a choice in it into the model."""

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, dialogs: Dialogs) -> None:
        self._ui, self._model, self._qt, self._dialogs = ui, model, toolkit.qt, dialogs
        self._groups: tuple[OrganGroup, ...] = ()
        self._boxes = {
            "present": ui.presentCheck,
            "uncertain": ui.uncertainCheck,
            "absent": ui.absentCheck,
            "not_assessable": ui.notAssessableCheck,
        }
        for state, box in self._boxes.items():
            put(box, checked=state in model.findings.states)
            toolkit.connect(box, "toggled(bool)", lambda on: self._filter())
        toolkit.connect(ui.searchEdit, "textChanged(QString)", model.findings.set_search)
        toolkit.connect(ui.findingsTree, "itemSelectionChanged()", self._on_choice)
        toolkit.connect(ui.findingsTree, "itemActivated(QTreeWidgetItem*,int)", lambda item, column: self._on_choice())
        toolkit.connect(ui.saliencyCheck, "toggled(bool)", self._on_saliency)
        toolkit.connect(ui.reportButton, "clicked()", self._on_report)
        toolkit.connect(ui.openButton, "clicked()", self._on_open)
        stretch(ui.findingsTree, toolkit.qt.QHeaderView)

    def refresh(self) -> None:
        """Show what is known."""
        model, ui = self._model, self._ui
        groups = model.findings.groups()
        if groups != self._groups:
            self._groups = groups
            self._build(groups)
        for state, count in model.findings.counts.items():
            put(self._boxes[state], text=_counted(STATE_WORDS[state], count))
        row = self._row()
        say(ui.wordingLabel, self._wording(row))
        say(ui.bodyLabel, body_text(model.run.result))
        has_map = row is not None and row.saliency is not None
        put(ui.saliencyCheck, checked=model.shown is not None, enabled=has_map or model.shown is not None)
        put(ui.reportButton, enabled=model.report() is not None)
        can_open = model.volume is not None and not model.run.state.is_busy
        put(ui.openButton, enabled=can_open)

    def choose(self, finding: str, organ: str) -> bool:
        """Choose a line as a click does; whether the result has it, listed or not."""
        row = self._model.findings.row_of(finding, organ)
        if row is None:
            return False
        self._model.findings.set_states(self._model.findings.states | {row.state})
        put(self._boxes[row.state], checked=True)
        self.refresh()
        tree = self._ui.findingsTree
        for top in (tree.topLevelItem(index) for index in range(get(tree, "topLevelItemCount") or 0)):
            for item in (top.child(index) for index in range(top.childCount())):
                if item.data(0, self._qt.Qt.UserRole) == f"{finding}{_BETWEEN}{organ}":
                    tree.setCurrentItem(item)
                    tree.scrollToItem(item)
        return True

    def _build(self, groups: tuple[OrganGroup, ...]) -> None:
        """Make the tree anew; what was chosen stays chosen, without being clicked again."""
        tree, chosen = self._ui.findingsTree, self._chosen()
        was_blocked = tree.blockSignals(True)
        tree.clear()
        for group in groups:
            top = self._qt.QTreeWidgetItem()
            top.setText(0, f"{group.title} ({group.note})" if group.note else group.title)
            top.setToolTip(0, group.note or group.title)
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            tree.addTopLevelItem(top)
            top.setFirstColumnSpanned(True)
            for row in group.rows:
                item = self._item(row)
                top.addChild(item)
                if (row.finding, row.organ) == chosen:
                    tree.setCurrentItem(item)
            top.setExpanded(True)
        tree.blockSignals(was_blocked)

    def _item(self, row: FindingRow) -> Any:
        item = self._qt.QTreeWidgetItem()
        for column, text in enumerate((row.label, row.state_word, row.score)):
            item.setText(column, text)
            item.setToolTip(column, row.wording)
        item.setData(0, self._qt.Qt.UserRole, f"{row.finding}{_BETWEEN}{row.organ}")
        return item

    def _chosen(self) -> tuple[str, str] | None:
        items = self._ui.findingsTree.selectedItems()
        key = items[0].data(0, self._qt.Qt.UserRole) if items else None
        return tuple(key.split(_BETWEEN)) if key else None

    def _row(self) -> FindingRow | None:
        chosen = self._chosen()
        return self._model.findings.row_of(*chosen) if chosen else None

    def _wording(self, row: FindingRow | None) -> str:
        if row is None:
            return ""
        without = _NO_MAP if self._model.study.has_files else _NOT_CARRIED
        no_map = "" if row.saliency is not None or row.state != "present" else without
        return " ".join(filter(None, (f"{row.label}: {row.state_word}, {row.score}.", row.wording, no_map)))

    def _on_choice(self) -> None:
        chosen = self._chosen()
        if chosen:
            self._model.click(*chosen)
        self.refresh()

    def _on_saliency(self, on: bool) -> None:
        chosen = self._chosen()
        if on and chosen:
            self._model.click(*chosen)
        elif not on:
            self._model.hide_saliency()

    def _filter(self) -> None:
        self._model.findings.set_states({state for state, box in self._boxes.items() if get(box, "checked")})

    def _on_report(self) -> None:
        report = self._model.report()
        if report is not None and not self._dialogs.open(str(report)):
            put(self._ui.messageLabel, text=f"No program opens {report}.")

    def _on_open(self) -> None:
        folder = self._dialogs.folder("Folder of a result of this volume")
        if folder:
            self._model.open_result(folder)


def _counted(word: str, count: int) -> str:
    """A state with its key and its count, such as "P&resent (3)"."""
    keys = {"present": "P&resent", "uncertain": "&Uncertain", "absent": "A&bsent", "not assessable": "&Not assessable"}
    return f"{keys[word]} ({count})" if count else keys[word]
