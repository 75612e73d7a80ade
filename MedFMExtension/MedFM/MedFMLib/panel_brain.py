"""Brain MRI in the panel: which volumes are analysed together, what sequence each is, and the maps of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .brain_case import NO_FINDINGS, NO_MODEL
from .mr_sequence import SEQUENCES
from .panel_qt import Toolkit, chosen_of, fill, get, put, say, show
from .view_model import PanelModel

_UNKNOWN = ("", "Choose…", "The name of the volume does not say which sequence it is")
_NONE = ("", "None", "Show the scan alone, and the views as they were")


class BrainPage:
    """Copies volumes, sequences and the chosen map into the model; shows none of it where the input is CT.

    Args:
        ui: the widgets.
        model: of the panel.
        toolkit: Qt.
        on_choices: called after the user chose.
    """

    def __init__(self, ui: Any, model: PanelModel, toolkit: Toolkit, on_choices: Callable[[], None]) -> None:
        self._ui, self._model, self._on_choices = ui, model, on_choices
        self._tip_role = toolkit.qt.Qt.ToolTipRole
        self._boxes = ui.sequenceBox, ui.secondSequenceBox, ui.thirdSequenceBox
        for place, box in enumerate(self._boxes):
            toolkit.connect(box, "currentIndexChanged(int)", lambda row, place=place: self._on_sequence(place))
        for place, selector in enumerate((ui.secondSelector, ui.thirdSelector), start=1):
            toolkit.connect(selector, "currentNodeChanged(vtkMRMLNode*)", lambda node, p=place: self._on_node(p, node))
        for check in (ui.stripCheck, ui.registerCheck):
            toolkit.connect(check, "toggled(bool)", lambda on: self._on_preparation())
        toolkit.connect(ui.mapBox, "currentIndexChanged(int)", lambda row: model.show_map(chosen_of(ui.mapBox)))
        self._of_input = (
            ui.sequenceBoxTitle, *self._boxes, ui.secondSelectorTitle, ui.secondSelector, ui.thirdSelectorTitle,
            ui.thirdSelector, ui.stripCheck, ui.registerCheck,
        )  # fmt: skip
        self._of_organs = (
            ui.searchEditTitle, ui.searchEdit, ui.presentCheck, ui.uncertainCheck, ui.absentCheck,
            ui.notAssessableCheck, ui.findingsTree, ui.saliencyCheck, ui.surfacesCheck,
        )  # fmt: skip

    def refresh(self) -> None:
        """Show what is known."""
        ui, model = self._ui, self._model
        is_brain = model.is_brain()
        for widget in self._of_input:
            show(widget, is_brain)
        show(ui.findingsBoxTitle, not is_brain)
        show(ui.findingsBox, not is_brain)
        if is_brain:
            say(ui.findingsModelLabel, NO_FINDINGS if model.model_id() else NO_MODEL)
        result = model.run.result
        shows_brain = is_brain if result is None else result.is_brain
        for widget in self._of_organs:
            show(widget, not shows_brain)
        self._refresh_input()
        self._refresh_maps()
        if shows_brain:
            say(ui.wordingLabel, NO_FINDINGS)

    def _refresh_input(self) -> None:
        case, are_enabled = self._model.brain, self._model.run.view().are_inputs_enabled
        for place, box in enumerate(self._boxes):
            chosen = case.sequence(place)
            unknown = () if chosen else (_UNKNOWN,)
            fill(box, (*unknown, *((name, name, "") for name in SEQUENCES)), chosen, self._tip_role)
            put(box, enabled=are_enabled and case.volumes[place] is not None)
        for widget in (self._ui.secondSelector, self._ui.thirdSelector, self._ui.stripCheck, self._ui.registerCheck):
            put(widget, enabled=are_enabled)
        put(self._ui.stripCheck, checked=self._model.choices.strip)
        put(self._ui.registerCheck, checked=self._model.choices.register)

    def _refresh_maps(self) -> None:
        ui, maps, shown = self._ui, self._model.maps(), self._model.shown
        key = shown[1] if shown is not None else ""
        chosen = next((one for one in maps if one.key == key), None)
        fill(ui.mapBox, (_NONE, *((one.key, one.title, one.wording) for one in maps)), key, self._tip_role)
        for widget in (ui.mapBoxTitle, ui.mapBox):
            show(widget, bool(maps))
        say(ui.mapLabel, chosen.wording if chosen is not None else "")

    def _on_sequence(self, place: int) -> None:
        self._model.brain.set_sequence(place, chosen_of(self._boxes[place]))
        self._on_choices()

    def _on_node(self, place: int, node: Any) -> None:
        self._model.brain.set_volume(place, node)
        self._on_choices()

    def _on_preparation(self) -> None:
        strip, register = (bool(get(box, "checked")) for box in (self._ui.stripCheck, self._ui.registerCheck))
        self._model.choose(replace(self._model.choices, strip=strip, register=register))
        self._on_choices()
