"""Input, models, device, the one button, and the progress below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .model_line import ModelLine
from .panel_qt import Toolkit, chosen_of, fill, get, put, say, show
from .panel_settings import Settings
from .view_model import FINDINGS, Choices, PanelModel

_NONE = "-"  # stands for no findings model in the menu


class AnalysisPage:
    """Copies the choices into the model, and the run's state into the widgets.

    Args:
        ui: the widgets.
        model: of the panel.
        toolkit: Qt.
        settings: of the computer; the device is one of them.
        on_choices: called after the user chose.
    """

    def __init__(
        self, ui: Any, model: PanelModel, toolkit: Toolkit, settings: Settings, on_choices: Callable[[], None]
    ) -> None:
        self._ui, self._model, self._settings, self._on_choices = ui, model, settings, on_choices
        self._tip_role = toolkit.qt.Qt.ToolTipRole
        self._run_tip = get(ui.runButton, "toolTip")
        model.choices = replace(model.choices, device=settings["Device"] or "auto", keep_in=settings["KeepIn"])
        toolkit.connect(ui.inputSelector, "currentNodeChanged(vtkMRMLNode*)", self._on_volume)
        toolkit.connect(ui.runButton, "clicked()", model.press_run)
        for box in (ui.modelBox, ui.findingsBox, ui.deviceBox):
            toolkit.connect(box, "currentIndexChanged(int)", lambda row: self._choose())
        toolkit.connect(ui.forceCheck, "toggled(bool)", lambda on: self._choose())

    def refresh(self) -> None:
        """Show what is known."""
        self._refresh_input()
        self._refresh_choices()
        self.refresh_run()

    def refresh_run(self) -> None:
        """Show how far the run is; also what changes with the clock alone."""
        ui, view, why_not = self._ui, self._model.run.view(), self._model.why_not()
        is_busy = view.state.is_busy
        put(ui.runButton, text=view.button, enabled=view.is_button_enabled and not why_not)
        put(ui.runButton, toolTip=why_not or self._run_tip)
        show(ui.progressBar, is_busy)
        put(ui.progressBar, value=view.percent)
        say(ui.stageLabel, ", ".join(filter(None, (view.stage, view.time_left))) if is_busy else "")
        say(ui.messageLabel, "" if is_busy else self._model.problem or view.message)
        say(ui.warningsLabel, "\n".join(view.warnings))
        for widget in (ui.inputSelector, ui.modelBox, ui.findingsBox, ui.deviceBox, ui.forceCheck):
            put(widget, enabled=view.are_inputs_enabled)
        if get(ui.logEdit, "plainText") != "\n".join(view.log):
            put(ui.logEdit, plainText="\n".join(view.log))

    def show_choices(self, choices: Choices) -> None:
        """Take choices from elsewhere, such as a scene that was opened."""
        self._model.choose(choices)
        put(self._ui.forceCheck, checked=choices.force)
        put(self._ui.stripCheck, checked=choices.strip)
        put(self._ui.registerCheck, checked=choices.register)

    def _refresh_input(self) -> None:
        model = self._model
        check = model.input_check()
        plan = model.expected.asking.answer
        more = plan.warnings if plan is not None else ()
        said = dict.fromkeys((check.headline, *check.problems, *check.warnings, *more))
        say(self._ui.inputLabel, "\n".join(said))
        sentences = (model.expected.sentence(), model.expected.accelerator_sentence())
        say(self._ui.expectedLabel, " ".join(filter(None, sentences)))

    def _refresh_choices(self) -> None:
        ui, model, chosen = self._ui, self._model, self._model.choices
        findings = model.weights.models_for(FINDINGS)
        fill(ui.modelBox, _entries(model.offered()), model.model_id(), self._tip_role)
        put(ui.modelBoxTitle, text="&Model" if model.is_brain() else "&Organs by")
        without = ((_NONE, "None: organs only", "Outline and measure the organs, and assess no findings"),)
        picked = _NONE if chosen.findings is False else chosen.findings_model
        fill(ui.findingsBox, (*_entries(findings), *without), picked, self._tip_role)
        devices = tuple((device.name, device.title, device.basis) for device in model.expected.choices())
        fill(ui.deviceBox, devices, chosen.device, self._tip_role)
        about = _about(model.weights.model(chosen_of(ui.modelBox)))
        say(ui.modelLabel, "\n".join(filter(None, (about, model.weights.card.problem))))
        say(ui.findingsModelLabel, _about(model.weights.model(chosen_of(ui.findingsBox))))

    def _choose(self) -> None:
        ui, findings = self._ui, chosen_of(self._ui.findingsBox)
        device = chosen_of(ui.deviceBox) or "auto"
        self._settings["Device"] = device
        self._model.choose(
            replace(
                self._model.choices,
                model=chosen_of(ui.modelBox) or self._model.choices.model,
                findings_model="" if findings == _NONE else findings,
                findings=False if findings == _NONE else None,
                device=device,
                force=bool(get(ui.forceCheck, "checked")),
            )
        )
        self._on_choices()

    def _on_volume(self, node: Any) -> None:
        self._model.set_volume(node)
        self._on_choices()


def _entries(lines: tuple[ModelLine, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((line.id, line.title, line.line) for line in lines)


def _about(line: ModelLine | None) -> str:
    """Size, licence, modality and coverage, and what it is no good at."""
    return "" if line is None else line.line.removeprefix(line.title).strip().removeprefix("(").removesuffix(")")
