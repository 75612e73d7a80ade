"""The whole panel as one object: what the Qt panel is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from .brain_case import NO_MODEL, BrainCase, is_mr, offered_models
from .choices import Choices
from .client import WorkerClient, WorkerState
from .diagnosis import diagnosis
from .expected_view import ExpectedModel
from .host import Installer, SceneHost, Volume, VolumeFacts
from .input_check import InputCheck, check_input
from .install import InstallModel, InstallState
from .launch import Launch
from .model_line import BRAINS, FINDINGS, ORGANS, ModelLine
from .results import ResultError
from .shown_result import ShownResult
from .transport import PipeTransport, Transport
from .weights import WeightsModel

PRIVACY = "Nothing leaves this computer: everything is computed here, and no usage figures are sent."
NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."


class PanelModel(ShownResult):
    """All models of the panel, wired together; what it shows of a result is in `ShownResult`.

    Args:
        launch: the Python that computes, with the settings of now.
        host: the scene.
        installer: installs packages into Slicer's Python.
        open_transport: starts a process.

    Attributes:
        client, install, weights, expected, brain: further parts, each with its own `changed`.
        volume: the chosen input; None for none.
        choices: what the user chose.
    """

    def __init__(
        self,
        launch: Callable[[], Launch],
        host: SceneHost,
        installer: Installer,
        open_transport: Callable[[Launch, tuple[str, ...]], Transport] = PipeTransport,
    ) -> None:
        self.client = WorkerClient(launch, open_transport)
        super().__init__(self.client, host)
        self._is_closed = False
        self.install = InstallModel(launch, installer, open_transport)
        self.weights, self.expected = WeightsModel(self.client), ExpectedModel(self.client)
        self.brain = BrainCase(host)
        self.volume: Volume | None = None
        self.choices = Choices()
        self._facts: VolumeFacts | None = None
        self._connect()

    def enter(self) -> None:
        """The panel is shown: check the installation once, then start the worker and read the list of models."""
        if self.install.state is InstallState.UNKNOWN:
            self.install.check(self.choices.device)

    def pump(self) -> bool:
        """Call every 50 to 100 ms; whether anything is awaited.

        The timer may stop when nothing is; whatever is asked emits `changed`, at which it is to be started again.
        """
        if self._is_closed:
            return False
        awaits = [self.client.pump(), self.install.pump()]
        return any(awaits) or self.run.state.is_busy

    def set_volume(self, volume: Volume | None) -> None:
        """Choose the input; what was found in it before is listed again."""
        self.volume = volume
        self._facts, self.problem = None, ""
        try:
            self._facts = None if volume is None else self._host.facts(volume)
            if self._facts is not None and self._facts.has_result:
                self.run.recall(volume)
        except ResultError as error:
            self.problem = str(error)
        self.brain.set_volume(0, volume)
        self._plan()
        self.changed.emit()

    def choose(self, choices: Choices) -> None:
        """Choose how."""
        self.choices = choices
        self._plan()
        self.changed.emit()

    def offered(self) -> tuple[ModelLine, ...]:
        """The models that the chosen volume can be analysed with, the default one first."""
        return offered_models(self.weights, self._facts)

    def model_id(self) -> str:
        """The one that is in force: what was chosen where it is offered, else the first one; "" for none."""
        line = self._model()
        return line.id if line else ""

    def is_brain(self) -> bool:
        """Whether the chosen volume is brain MRI, or the model in force is one for it."""
        line = self._model()
        return line.task == BRAINS if line is not None else is_mr(self._facts)

    def input_check(self) -> InputCheck:
        """What is said of the chosen volume."""
        line = self._model()
        return check_input(self._facts, line.modality if line else ("MR",) if self.is_brain() else ("CT",))

    def why_not(self) -> str:
        """Why Run cannot be pressed, for its tool tip; "" where it can."""
        if self.run.state.is_busy:
            return ""
        if self.install.state is not InstallState.READY:
            return self.install.message or "The installation was not checked yet."
        if self.client.state is WorkerState.BROKEN:
            return self.client.problem
        if self.problem and self._facts is None:
            return self.problem
        check = self.input_check()
        if not check.can_run:
            return (check.problems or (check.headline,))[0]
        return "" if not self.is_brain() else self.brain.problem() if self._model() else NO_MODEL

    def press_run(self) -> None:
        """The one button: run, or cancel what runs."""
        if self.run.state.is_busy:
            self.run.cancel()
        elif not self.why_not():
            self.hide_saliency()
            if self.is_brain():
                sequences = tuple(scan.sequence for scan in self.brain.scans())
                others = [scan.volume for scan in self.brain.scans()[1:]]
                self.run.run(self.volume, self.choices.options(self.model_id(), sequences), others)
            else:
                self.run.run(self.volume, self.choices.options(self._named()))

    def open_result(self, folder: str | Path) -> bool:
        """Show a result of the chosen volume that was made before; whether it is one."""
        if self.volume is None:
            return False
        scans = self.brain.scans() or ()
        volumes = [scan.volume for scan in scans] or [self.volume]
        return self.run.open(volumes, folder, [scan.sequence for scan in scans])

    def volume_removed(self, volume: Volume) -> None:
        """The host says that a volume left the scene."""
        was_of_result = self.run.volume == volume or volume in self.run.scans.values()
        self.run.volume_removed(volume)
        if was_of_result:
            self._show(None)
        self.brain.volume_removed(volume)
        if self.volume == volume:
            self.set_volume(None)

    def scene_closed(self) -> None:
        """The host says that the scene was closed; the worker goes on, its run does not."""
        self.run.scene_closed()
        self._show(None)
        self.brain.forget()
        self.set_volume(None)

    def scene_opened(self) -> None:
        """The host says that nodes were read, perhaps with a result of the chosen volume."""
        self.set_volume(self.volume)

    def settings_changed(self) -> None:
        """Another Python, folder or address was chosen: end the worker and look anew."""
        self.run.cancel("The settings were changed; the run was stopped.")
        self.client.stop()
        self.expected.forget()
        self.install.check(self.choices.device)

    def close(self) -> None:
        """The module is reloaded or Slicer ends: within two seconds no process and no temporary file is left."""
        if not self._is_closed:
            self._is_closed = True
            self.changed.clear()
            self.client.stop()
            self.install.close()
            self.run.close()

    def diagnosis(self) -> str:
        """A text for a bug report: versions, devices, states, the last log; no names of patients, volumes or files."""
        return diagnosis(self.client, self.install, self.run)

    def _connect(self) -> None:
        for part in (self.client, self.install, self.weights, self.run, self.findings):
            part.changed.connect(self.changed.emit)
        for asking in (self.expected.asking, self.study.question, self.study.similar, self.study.export):
            asking.changed.connect(self.changed.emit)
        self.brain.changed.connect(self._plan)
        self.brain.changed.connect(self.changed.emit)
        self.install.changed.connect(self._installed)
        self.weights.listed.connect(self._plan)
        self.weights.card.chosen.connect(self._choose_card)
        self.client.changed.connect(self._plan)

    def _choose_card(self, line: ModelLine) -> None:
        """Take the model whose card the user named."""
        kind = "findings_model" if line.task == FINDINGS else "model"
        changed = {kind: line.id, **({"findings": None} if line.task == FINDINGS else {})}
        self.choose(replace(self.choices, **changed))

    def _installed(self) -> None:
        if self.install.state is InstallState.READY and self.client.state is WorkerState.OFF:
            self.client.start()
            self.weights.refresh()

    def _plan(self) -> None:
        """Ask what a run will take, once the worker is there to say it."""
        if self.client.state is WorkerState.READY and self.client.devices is not None:
            facts = self._facts if self.input_check().can_run else None
            if not self.is_brain():
                self.expected.update(facts, self._named(), self.choices.findings_model)
                return
            asked = {"scans": max(1, len(self.brain.scans())), "register": self.choices.register}
            asked["strip"] = "auto" if self.choices.strip else None
            self.expected.update(facts if self.model_id() else None, self.model_id(), brains=asked)

    def _model(self) -> ModelLine | None:
        listed: Mapping[str, ModelLine] = {line.id: line for line in self.offered()}
        return listed.get(self.choices.model) or next(iter(listed.values()), None)

    def _named(self) -> str:
        """The model to name in a request about CT: none where the default one is meant, or another kind was chosen."""
        return self.choices.model if self.choices.model in {line.id for line in self.offered()} else ""


__all__ = ["FINDINGS", "NOTICE", "ORGANS", "PRIVACY", "Choices", "PanelModel"]
