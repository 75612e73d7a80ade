"""The whole panel as one object: what the Qt panel is built on."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .client import PROTOCOL, WorkerClient, WorkerState
from .expected_view import ExpectedModel
from .findings_table import FindingRow, FindingsTable
from .host import Installer, SceneHost, Volume, VolumeFacts
from .input_check import InputCheck, check_input
from .install import InstallModel, InstallState
from .launch import Launch
from .results import Result, ResultError
from .run import RunModel
from .run_parts import RunOptions
from .signals import Signal
from .studies import StudyModel
from .transport import PipeTransport, Transport
from .weights import FINDINGS, ORGANS, ModelLine, WeightsModel

PRIVACY = "Nothing leaves this computer: everything is computed here, and no usage figures are sent."
NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."


@dataclass(frozen=True)
class Choices:
    """What the user chose; settings of the machine and of the case alike."""

    model: str = ""
    findings_model: str = ""
    device: str = "auto"
    findings: bool | None = None
    force: bool = False
    organs: tuple[str, ...] = ()
    keep_in: str = ""


class PanelModel:
    """All models of the panel, wired together.

    Args:
        launch: the Python that computes, with the settings of now.
        host: the scene.
        installer: installs packages into Slicer's Python.
        open_transport: starts a process.

    Attributes:
        client, install, weights, expected, run, findings, study: the parts, each with its own `changed`.
        changed: called when one of them changed.
        volume: the chosen input; None for none.
        choices: what the user chose.
        shown: the finding whose saliency map is shown, with its organ; None for none.
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
        self.findings, self.study = FindingsTable(), StudyModel(self.client)
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
        self._plan()
        self.changed.emit()

    def choose(self, choices: Choices) -> None:
        """Choose how."""
        self.choices = choices
        self._plan()
        self.changed.emit()

    def input_check(self) -> InputCheck:
        """What is said of the chosen volume."""
        line = self._model()
        return check_input(self._facts, line.modality if line else ("CT",))

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
        return "" if check.can_run else (check.problems or (check.headline,))[0]

    def press_run(self) -> None:
        """The one button: run, or cancel what runs."""
        if self.run.state.is_busy:
            self.run.cancel()
        elif not self.why_not():
            self.hide_saliency()
            self.run.run(self.volume, self._options())

    def open_result(self, folder: str | Path) -> bool:
        """Show a result of the chosen volume that was made before; whether it is one."""
        return self.volume is not None and self.run.open(self.volume, folder)

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
        was_of_result = self.run.volume == volume
        self.run.volume_removed(volume)
        if was_of_result:
            self._show(None)
        if self.volume == volume:
            self.set_volume(None)

    def scene_closed(self) -> None:
        """The host says that the scene was closed; the worker goes on, its run does not."""
        self.run.scene_closed()
        self._show(None)
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
        hello, install = self.client.hello, self.install.view()
        devices = ", ".join(f"{d.name} ({d.title})" for d in self.client.devices or ()) or "not known"
        lines = [
            f"MedFM panel, protocol {PROTOCOL}; Python {platform.python_version()}, {platform.platform()}",
            f"Worker: {self.client.state.value}; medfm {hello.get('medfm')}, Python {hello.get('python')}, "
            f"torch {hello.get('torch')}",
            f"Devices: {devices}",
            f"Installation: {install.state.value}; length of its path {len(install.python)}; {install.message}",
            *(f"  {line.text}" for line in install.packages),
            f"Run: {self.run.state.value}",
            *(f"  {line}" for line in self.client.log()[-20:]),
        ]
        return "\n".join(lines)

    def _connect(self) -> None:
        for part in (self.client, self.install, self.weights, self.run, self.findings):
            part.changed.connect(self.changed.emit)
        for asking in (self.expected.asking, self.study.question, self.study.similar, self.study.export):
            asking.changed.connect(self.changed.emit)
        self.run.finished.connect(lambda volume, result: self._show(result))
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

    def _plan(self) -> None:
        """Ask what a run will take, once the worker is there to say it."""
        if self.client.state is WorkerState.READY and self.client.devices is not None:
            facts = self._facts if self.input_check().can_run else None
            self.expected.update(facts, self.choices.model, self.choices.findings_model)

    def _model(self) -> ModelLine | None:
        listed: Mapping[str, ModelLine] = {line.id: line for line in self.weights.models_for(ORGANS)}
        return listed.get(self.choices.model) or next(iter(listed.values()), None)

    def _options(self) -> RunOptions:
        chosen = self.choices
        return RunOptions(
            chosen.device,
            chosen.model,
            chosen.findings_model,
            chosen.findings,
            chosen.force,
            chosen.organs,
            chosen.keep_in,
        )


__all__ = ["FINDINGS", "NOTICE", "ORGANS", "PRIVACY", "Choices", "PanelModel"]
