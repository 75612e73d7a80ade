"""One analysis from the Run button to the result in the scene."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .client import WorkerClient
from .host import SceneHost, Volume
from .results import Result, ResultError, read_result
from .run_job import Job
from .run_parts import RunOptions, RunView, duration, folder_name, time_left
from .run_states import RunEvent, RunState, follow
from .signals import Signal
from .taking import take_in

VOLUME_GONE = "The input volume was removed; the run was stopped and nothing was imported."
SCENE_CLOSED = "The scene was closed; the run was stopped."
_RESULT = "result"


class RunModel:
    """Runs one analysis at a time.

    Args:
        client: the worker.
        host: the scene.

    Attributes:
        changed: called when `view()` changed.
        finished: called with the volume and the `Result` once it is in the scene.
        result: of the last run that ended well; None before, and after the scene was closed.
        volume: what it was made of; of brain MRI the first scan.
        scans: of brain MRI, the volume of each scan by its name in the result; empty for CT.
    """

    def __init__(self, client: WorkerClient, host: SceneHost) -> None:
        self._client, self._host = client, host
        self._job: Job | None = None
        self._folders: list[Path] = []
        self._percent, self._stage, self._left, self._left_at = 0.0, "", None, 0.0
        self._message, self._warnings, self._log = "", (), []
        self.state = RunState.IDLE
        self.changed, self.finished = Signal(), Signal()
        self.result: Result | None = None
        self.volume: Volume | None = None
        self.scans: dict[str, Volume] = {}

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
        self._percent, self._stage, self._left, self._message = 0.0, "Write the volume", None, ""
        self._warnings, self._log = (), []
        self._go(RunEvent.START)
        try:
            folder = Path(tempfile.mkdtemp(prefix="medfm-"))
            self._folders.append(folder)
            out = (
                Path(options.keep_in) / folder_name(self._host.facts(volume).name)
                if options.keep_in
                else folder / _RESULT
            )
            self._job = Job((volume, *others), options.sequences, folder, out)
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
        self._stage = "Start"
        self._go(RunEvent.EXPORTED)
        arguments = options.arguments(sources, str(out))
        self._job.request_id = self._client.request("analyze", arguments, self._events_of(self._job))
        return True

    def open(self, volumes: Sequence[Volume], folder: str | Path, sequences: Sequence[str] = ()) -> bool:
        """Take a result that was made before into the scene; whether it could be, else `view()` says why.

        Args:
            volumes: what it was made of; more than one of brain MRI alone.
            folder: of the result.
            sequences: of the volumes, where these are brain MRI.
        """
        if follow(self.state, RunEvent.START) is None:
            return False
        try:
            result = read_result(folder)
            self.scans = take_in(self._host, volumes, sequences, result)
        except ResultError as error:
            self._message = str(error)
            self.changed.emit()
            return False
        self.result, self.volume = result, _first(self.scans, volumes)
        self._warnings, self._message = result.warnings, "Opened. Research use only, not a diagnosis."
        self.changed.emit()
        self.finished.emit(self.volume, result)
        return True

    def cancel(self, because: str = "") -> None:
        """Stop; the message says why, by default that it was cancelled."""
        if self._job is None or follow(self.state, RunEvent.STOP) is None:
            return
        self._job.stopped_because = because or "Cancelled; nothing was imported."
        self._go(RunEvent.STOP)
        if self.state is RunState.CANCELLING:
            self._client.cancel(self._job.request_id)
        else:
            self._message = self._job.stopped_because
            self.changed.emit()

    def volume_removed(self, volume: Volume) -> None:
        """The host says that a volume left the scene."""
        if self._job is not None and volume in self._job.volumes:
            self.cancel(VOLUME_GONE)
        if self.volume == volume or volume in self.scans.values():
            self._forget()
            self.changed.emit()

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
        can_stop = follow(self.state, RunEvent.STOP) is not None
        is_busy = self.state.is_busy
        return RunView(
            self.state,
            {RunState.CANCELLING: "Cancelling\u2026"}.get(self.state, "Cancel" if is_busy else "Run"),
            can_stop or not is_busy,
            not is_busy,
            100 if self.state is RunState.DONE else round(100 * self._percent),
            self._stage if is_busy else "",
            time_left(self._left, self._left_at) if self.state is RunState.RUNNING else "",
            self._message,
            self._warnings,
            tuple(self._log[-200:]),
        )

    def _events_of(self, job: Job) -> Callable[[Mapping[str, Any]], None]:
        def take(event: Mapping[str, Any]) -> None:
            if job is self._job:  # an event of a run that the panel has forgotten changes nothing
                self._take(event)

        return take

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            self._percent, self._stage = float(event["fraction"]), event["name"]
            self._left, self._left_at = event["remaining_seconds"], time.monotonic()
            self.changed.emit()
        elif kind == "stage" and event.get("depth") == 0 and event["state"] == "done":
            self._log.append(f"{event['name']}: {event['seconds']:.1f} s")
        elif kind == "log":
            self._log.append(str(event["text"]))
            self.changed.emit()
        elif kind == "result":
            self._result(event)
        elif kind == "cancelled":
            self._stopped(RunEvent.STOPPED)
        elif kind == "error":
            self._stopped(RunEvent.FAIL) if self.state is RunState.CANCELLING else self._fail(event["sentence"])

    def _result(self, event: Mapping[str, Any]) -> None:
        if self.state is RunState.CANCELLING:
            self._stopped(RunEvent.RESULT)
            return
        job = self._job
        self._stage, self._percent = "Import the result", 1.0
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
        seconds = float(event.get("seconds", 0.0))
        self.result, self.volume, self.scans = result, job.volumes[0], scans
        self._warnings = result.warnings
        self._message = f"Done in {duration(seconds)}. Research use only, not a diagnosis."
        self._job = None
        job.forget_input()
        self._go(RunEvent.IMPORTED)
        self.finished.emit(self.volume, result)

    def _stopped(self, event: RunEvent) -> None:
        self._message = self._job.stopped_because or "Cancelled; nothing was imported."
        self._leave()
        self._go(event)

    def _fail(self, sentence: str) -> None:
        self._message = sentence
        keep = self.state is RunState.IMPORTING
        if keep:
            self._job = None
        else:
            self._leave()
        self._go(RunEvent.FAIL)

    def _leave(self) -> None:
        """Forget the job and delete what it has written for itself."""
        job, self._job = self._job, None
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _forget(self) -> None:
        self.result = self.volume = None
        self.scans = {}

    def _sweep(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders = [self._job.folder] if self._job is not None else []

    def _go(self, event: RunEvent) -> None:
        state = follow(self.state, event)
        if state is not None:
            self.state = state
            self.changed.emit()


def _first(scans: Mapping[str, Volume], volumes: Sequence[Volume]) -> Volume:
    return next(iter(scans.values()), volumes[0])
