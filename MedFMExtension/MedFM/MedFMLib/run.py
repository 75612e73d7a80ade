"""One analysis from the Run button to the result in the scene."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .client import WorkerClient
from .held_results import NOTICE, Held, HeldResults
from .host import SceneHost, Volume
from .results import ResultError, read_result
from .run_job import Job
from .run_parts import RunOptions, RunView, folder_name
from .run_progress import RunProgress, duration
from .run_states import RunEvent, RunState, follow
from .taking import take_in

VOLUME_GONE = "The input volume was removed; the run was stopped and nothing was imported."
SCENE_CLOSED = "The scene was closed; the run was stopped."
_CANCELLED = "Cancelled; nothing was imported."
_RESULT = "result"


class RunModel(HeldResults):
    """Runs one analysis at a time, and shows its result or another one.

    Args:
        client: the worker.
        host: the scene.

    Attributes:
        state: where the run is; `changed` is called too when `view()` changed.
    """

    def __init__(self, client: WorkerClient, host: SceneHost) -> None:
        super().__init__(host)
        self._client = client
        self._job: Job | None = None
        self._folders: list[Path] = []
        self._progress = RunProgress()
        self.state = RunState.IDLE

    def run(self, volume: Volume, options: RunOptions | None = None, others: Sequence[Volume] = ()) -> bool:
        """Begin; whether a run could begin.

        Args:
            volume: what is analysed.
            options: how.
            others: further scans of the same study, of brain MRI; `options.sequences` has one for each, `volume` first.
        """
        if follow(self.state, RunEvent.START) is None:
            return False
        options = options or RunOptions()
        self._progress.begin("Write the volume")
        self.message = ""
        self._go(RunEvent.START)
        try:
            self._job = self._job_of((volume, *others), options)
            sources = self._job.export(self._host)
        except Exception as error:  # a full disk, a volume that went away, whatever the host meets
            if self.state is RunState.EXPORTING:
                known = isinstance(error, ResultError)
                self._fail(str(error) if known else f"The volume cannot be written for the analysis ({error}).")
            self._leave()
            return True
        if self.state is not RunState.EXPORTING:  # stopped while it was written
            self._leave()
            return True
        self._progress.stage = "Start"
        self._go(RunEvent.EXPORTED)
        arguments = options.arguments(sources, str(self._job.out))
        self._job.request_id = self._client.request("analyze", arguments, self._events_of(self._job))
        return True

    def open(self, volumes: Sequence[Volume], folder: str | Path, sequences: Sequence[str] = ()) -> bool:
        """See `HeldResults`; while a run is under way none is opened."""
        return not self.state.is_busy and super().open(volumes, folder, sequences)

    def recall(self, volume: Volume) -> bool:
        """See `HeldResults`; while a run is under way none is shown."""
        return not self.state.is_busy and super().recall(volume)

    def cancel(self, because: str = "") -> None:
        """Stop; the message says why, by default that it was cancelled."""
        if self._job is None or follow(self.state, RunEvent.STOP) is None:
            return
        self._job.stopped_because = because or _CANCELLED
        self._go(RunEvent.STOP)
        if self.state is RunState.CANCELLING:
            self._client.cancel(self._job.request_id)
        else:
            self.message = self._job.stopped_because
            self.changed.emit()

    def volume_removed(self, volume: Volume) -> None:
        """The host says that a volume left the scene."""
        if self._job is not None and volume in self._job.volumes:
            self.cancel(VOLUME_GONE)
        self._drop(volume)

    def scene_closed(self) -> None:
        """The host says that the scene was closed."""
        self.cancel(SCENE_CLOSED)
        self._forget()
        self._go(RunEvent.RESET)
        self._sweep()
        self.changed.emit()

    def close(self) -> None:
        """The panel goes away: forget everything; what was in the temporary folders is deleted."""
        self._job = None
        self.state = RunState.IDLE
        self._forget()
        self._sweep()
        self.changed.clear()
        self.finished.clear()

    def view(self) -> RunView:
        """What the panel shows."""
        progress, is_busy = self._progress, self.state.is_busy
        can_stop = follow(self.state, RunEvent.STOP) is not None
        return RunView(
            state=self.state,
            button={RunState.CANCELLING: "Cancelling\u2026"}.get(self.state, "Cancel" if is_busy else "Run"),
            is_button_enabled=can_stop or not is_busy,
            are_inputs_enabled=not is_busy,
            percent=100 if self.state is RunState.DONE else round(100 * progress.fraction),
            stage=progress.stage if is_busy else "",
            time_left=progress.time_left() if self.state is RunState.RUNNING else "",
            message=self.message,
            warnings=self.result.warnings if self.result is not None and not is_busy else (),
            log=progress.log,
        )

    def _job_of(self, volumes: tuple[Volume, ...], options: RunOptions) -> Job:
        folder = Path(tempfile.mkdtemp(prefix="medfm-"))
        self._folders.append(folder)
        kept = options.keep_in and Path(options.keep_in) / folder_name(self._host.facts(volumes[0]).name)
        return Job(volumes, options.sequences, folder, kept or folder / _RESULT)

    def _events_of(self, job: Job) -> Callable[[Mapping[str, Any]], None]:
        def take(event: Mapping[str, Any]) -> None:
            if job is self._job:  # an event of a run that the panel has forgotten changes nothing
                self._hear(event)

        return take

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "result":
            self._result(event)
        elif kind == "cancelled":
            self._stopped(RunEvent.STOPPED)
        elif kind == "error":
            self._stopped(RunEvent.FAIL) if self.state is RunState.CANCELLING else self._fail(event["sentence"])
        elif self._progress.take(event):
            self.changed.emit()

    def _result(self, event: Mapping[str, Any]) -> None:
        if self.state is RunState.CANCELLING:
            self._stopped(RunEvent.RESULT)
            return
        job = self._job
        self._progress.stage, self._progress.fraction = "Import the result", 1.0
        self._go(RunEvent.RESULT)
        try:
            if not all(map(self._host.is_alive, job.volumes)):
                self._fail(VOLUME_GONE)
                return
            result = read_result(job.out)
            scans = take_in(self._host, job.volumes, job.sequences, result)
        except ResultError as error:
            self._fail(str(error))
            return
        except Exception as error:  # whatever the host meets in its scene
            self._fail(f"The result cannot be taken into the scene ({error}). Until Slicer ends it is in {job.out}.")
            return
        self._take(Held(job.volumes[0], result, scans))
        self._job = None
        job.forget_input()
        self.message = f"Done in {duration(float(event.get('seconds', 0.0)))}. {NOTICE}"
        self._go(RunEvent.IMPORTED)
        self.finished.emit(self.volume, result)

    def _stopped(self, event: RunEvent) -> None:
        self.message = self._job.stopped_because or _CANCELLED
        self._leave()
        self._go(event)

    def _fail(self, sentence: str) -> None:
        self.message = sentence
        if self.state is RunState.IMPORTING:
            self._job = None  # its folder stays: the message names it
        else:
            self._leave()
        self._go(RunEvent.FAIL)

    def _leave(self) -> None:
        """Forget the job and delete what it has written for itself."""
        job, self._job = self._job, None
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _sweep(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = [self._job.folder] if self._job is not None else []

    def _go(self, event: RunEvent) -> None:
        state = follow(self.state, event)
        if state is not None:
            self.state = state
            self.changed.emit()
