"""The whole panel as one object: what the Qt panel is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .brain_case import NO_MODEL, BrainCase, is_mr, offered_models
from .brain_maps import SALIENCY, BrainMap, brain_maps
from .choices import Choices
from .client import WorkerClient, WorkerState
from .diagnosis import diagnosis
from .expected_view import ExpectedModel
from .findings_table import FindingRow, FindingsTable
from .host import Installer, SceneHost, Volume, VolumeFacts
from .input_check import InputCheck, check_input
from .install import InstallModel, InstallState
from .launch import Launch
from .results import Result, ResultError
from .run import RunModel
from .signals import Signal
from .studies import StudyModel
from .transport import PipeTransport, Transport
from .weights import BRAINS, FINDINGS, ORGANS, ModelLine, WeightsModel

PRIVACY = "Nothing leaves this computer: everything is computed here, and no usage figures are sent."
NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."


class PanelModel:
    """All models of the panel, wired together.

    Args:
        launch: the Python that computes, with the settings of now.
        host: the scene.
        installer: installs packages into Slicer's Python.
        open_transport: starts a process.

    Attributes:
        client, install, weights, expected, run, findings, study, brain: the parts, each with its own `changed`.
        changed: called when one of them changed.
        volume: the chosen input; None for none.
        choices: what the user chose.
        shown: the finding whose saliency map is shown, with its organ, or of brain MRI the kind of the map and its
            key; None for none.
        problem: what the scene could not do last, one sentence; "" where it could.
    """

    def __init__(
        self,
        launch: Callable[[], Launch],
        host: SceneHost,
        installer: Installer,
        open_transport: Callable[[Launch, tuple[str, ...]], Transport] = PipeTransport,
    ) -> None:
        self._host, self._is_closed = host, False
        self.changed = Signal()
        self.client = WorkerClient(launch, open_transport)
        self.install = InstallModel(launch, installer, open_transport)
        self.weights, self.expected = WeightsModel(self.client), ExpectedModel(self.client)
        self.run = RunModel(self.client, host)
        self.findings, self.study, self.brain = FindingsTable(), StudyModel(self.client), BrainCase(host)
        self.volume: Volume | None = None
        self.choices = Choices()
        self.shown: tuple[str, str] | None = None
        self.problem = ""
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
        """Choose the input."""
        self.volume = volume
        self._facts, self.problem = None, ""
        try:
            self._facts = None if volume is None else self._host.facts(volume)
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

    def click(self, finding: str, organ: str) -> bool:
        """A line of the table was clicked: centre the views on its organ, and show its saliency map if it has one."""
        row = self.findings.row_of(finding, organ)
        if row is None or self.run.volume is None or not self._host.is_alive(self.run.volume):
            return False
        self.problem = ""
        if row.centre_ras is not None:
            self._host.centre_on(row.centre_ras)
        if row.saliency is None:
            self.hide_saliency()
        else:
            self._show_saliency(row)
        self.changed.emit()
        return row.centre_ras is not None

    def show_map(self, key: str) -> bool:
        """Show a map of brain MRI in the place of any other; whether the result has it, and it could be shown.

        Args:
            key: of one of `maps()`; "" hides what is shown.
        """
        chosen = next((one for one in self.maps() if one.key == key), None)
        volume = None if chosen is None else self.run.scans.get(chosen.scan)
        self.problem = ""
        if volume is None or not self._host.is_alive(volume):
            self.hide_saliency()
            return False
        show = self._host.show_saliency if chosen.kind == SALIENCY else self._host.show_routing
        try:
            show(volume, str(chosen.path), chosen.title)
            self.shown = chosen.kind, chosen.key
        except ResultError as error:
            self.problem = str(error)
        self.changed.emit()
        return not self.problem

    def maps(self) -> tuple[BrainMap, ...]:
        """The maps of a result of brain MRI whose scans are in the scene; none for CT."""
        return tuple(one for one in brain_maps(self.run.result) if one.scan in self.run.scans)

    def hide_saliency(self) -> None:
        """Show no map, and the views as they were."""
        if self.shown is not None:
            self.shown = None
            self._host.hide_saliency()
            self.changed.emit()

    def report(self) -> Path | None:
        """The report of the last result; None where there is none."""
        result = self.run.result
        return result.report if result is not None and result.report.is_file() else None

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
        self.run.finished.connect(lambda volume, result: self._show(result))
        self.brain.changed.connect(self._plan)
        self.brain.changed.connect(self.changed.emit)
        self.install.changed.connect(self._installed)
        self.weights.listed.connect(self._plan)
        self.client.changed.connect(self._plan)

    def _installed(self) -> None:
        if self.install.state is InstallState.READY and self.client.state is WorkerState.OFF:
            self.client.start()
            self.weights.refresh()

    def _show_saliency(self, row: FindingRow) -> None:
        try:
            self._host.show_saliency(self.run.volume, str(row.saliency), row.label)
            self.shown = row.finding, row.organ
        except ResultError as error:
            self.problem = str(error)

    def _show(self, result: Result | None) -> None:
        self.hide_saliency()
        self.findings.show(result)
        self.study.show(result)
        for first in self.maps()[:1]:  # nothing else of brain MRI is seen in the views
            self.show_map(first.key)

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
