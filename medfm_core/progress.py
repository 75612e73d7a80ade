"""Progress of long work: stages that advance, messages, and cancelling between two steps.

Library code takes a `Progress` and never prints; the command line gives it `RichProgress`, programs and the Slicer
panel read `JsonLines`, and a caller that wants nothing gives `Silent`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from medfm_core.errors import MedFMError

JSON_VERSION = 1
_LINE_EVERY_S = 0.2


class CancelledError(MedFMError):
    """The user, or the program that reads the progress, wants no more of it."""

    def __init__(self, what: str = "the run was cancelled") -> None:
        super().__init__(what)


class Stage:
    """One stage of the work, between its begin and its end.

    Attributes:
        name: what is done, for the reader.
        total: number of steps, None when not known.
        done: steps done.
        state: "running", then "done", "cancelled" or "failed".
    """

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self.name, self.total, self.done, self.state = name, total, 0, "running"
        self._progress, self._begin, self._end = progress, time.perf_counter(), None

    @property
    def seconds(self) -> float:
        """Time since the stage began; once it is over, the time it took."""
        return (time.perf_counter() if self._end is None else self._end) - self._begin

    def advance(self, n: int = 1) -> None:
        """Say that `n` more steps are done.

        Raises:
            CancelledError: no more is wanted.
        """
        self.done += n
        self._progress.moved(self)
        self._progress.check()

    def close(self, state: str) -> None:
        """Stop the clock; `Progress.stage` calls it."""
        self.state, self._end = state, time.perf_counter()


class Progress:
    """Where progress goes: nowhere, unless a subclass overrides `began`, `moved`, `ended` and `message`.

    Args:
        cancelled: asked between two steps whether to stop; must be quick.
    """

    def __init__(self, cancelled: Callable[[], bool] | None = None) -> None:
        self._cancelled = cancelled

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Run a block as one stage.

        Args:
            name: what is done, for the reader.
            total: number of steps, where it is known.

        Yields:
            The stage, to `advance`.

        Raises:
            CancelledError: no more is wanted.
        """
        self.check()
        stage = Stage(self, name, total)
        self.began(stage)
        try:
            yield stage
        except BaseException as error:
            stage.close("cancelled" if isinstance(error, (CancelledError, KeyboardInterrupt)) else "failed")
            with suppress(CancelledError):
                self.ended(stage)
            raise
        stage.close("done")
        self.ended(stage)

    def check(self) -> None:
        """Stop here if no more is wanted.

        Raises:
            CancelledError: no more is wanted.
        """
        if self._cancelled is not None and self._cancelled():
            raise CancelledError

    def message(self, text: str) -> None:
        """Tell the user one sentence."""

    def began(self, stage: Stage) -> None:
        """A stage began."""

    def moved(self, stage: Stage) -> None:
        """A stage advanced."""

    def ended(self, stage: Stage) -> None:
        """A stage is over; its `state` says how."""


class Silent(Progress):
    """Says nothing; still stops when cancelled."""


SILENT = Silent()


class RichProgress(Progress):
    """Bars on a terminal; elsewhere one line per finished stage.

    Args:
        cancelled: asked between two steps whether to stop.
        stream: where to write, standard error by default.
    """

    def __init__(self, cancelled: Callable[[], bool] | None = None, stream: TextIO | None = None) -> None:
        super().__init__(cancelled)
        from rich.console import Console

        self._console = Console(file=stream, stderr=stream is None, highlight=False, markup=False, emoji=False)
        self._bars: Any = None
        self._tasks: dict[Stage, Any] = {}

    def message(self, text: str) -> None:
        """Write a sentence above the bars."""
        self._console.print(text, soft_wrap=True)

    def began(self, stage: Stage) -> None:
        """Add a bar."""
        if not self._console.is_terminal:
            return
        if self._bars is None:
            self._bars = self._make_bars()
            self._bars.start()
        self._tasks[stage] = self._bars.add_task(stage.name, total=stage.total)

    def moved(self, stage: Stage) -> None:
        """Move its bar."""
        if stage in self._tasks:
            self._bars.update(self._tasks[stage], completed=stage.done)

    def ended(self, stage: Stage) -> None:
        """Fill its bar, or write the line; after the last open stage the bars stand still."""
        if self._bars is None:
            self._console.print(f"{stage.name}: {stage.state}, {stage.seconds:.1f} s", soft_wrap=True)
            return
        task = self._tasks.pop(stage)
        if stage.state == "done":
            total = stage.total or stage.done or 1
            self._bars.update(task, total=total, completed=total)
        self._bars.stop_task(task)
        if not self._tasks:
            self._bars.stop()
            self._bars = None

    def _make_bars(self) -> Any:
        from rich import progress

        return progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeElapsedColumn(),
            console=self._console,
        )


class JsonLines(Progress):
    r"""One JSON object per line, for programs.

    Every line has `version` and `event`; a reader skips events and keys that it does not know:

        {"version": 1, "event": "stage", "name": "Segment", "state": "running", "done": 3, "total": 18, "seconds": 1.2}
        {"version": 1, "event": "message", "text": "..."}

    A stage writes a line when it begins and ends (`state` "done", "cancelled" or "failed") and at most five a second
    between. `event` writes lines of other kinds, such as a result. When nobody reads any more, the work is cancelled.

    Args:
        cancelled: asked between two steps whether to stop.
        stream: where to write, standard output by default.
    """

    def __init__(self, cancelled: Callable[[], bool] | None = None, stream: TextIO | None = None) -> None:
        super().__init__(cancelled)
        self._stream = sys.stdout if stream is None else stream
        self._lock = threading.Lock()
        self._written: dict[Stage, float] = {}

    def event(self, event: str, **fields: Any) -> None:
        """Write one line.

        Args:
            event: its kind.
            fields: what to say; JSON values, finite numbers only.

        Raises:
            CancelledError: nobody reads any more.
        """
        line = json.dumps({"version": JSON_VERSION, "event": event, **fields}, allow_nan=False)
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (BrokenPipeError, ConnectionError, ValueError) as error:
                raise CancelledError("the program that reads the progress is gone") from error

    def message(self, text: str) -> None:
        """Write a message line."""
        self.event("message", text=text)

    def began(self, stage: Stage) -> None:
        """Write the stage's first line."""
        self._write(stage)

    def moved(self, stage: Stage) -> None:
        """Write a line, unless the last one is fresh."""
        if time.monotonic() - self._written.get(stage, -1.0) >= _LINE_EVERY_S:
            self._write(stage)

    def ended(self, stage: Stage) -> None:
        """Write the stage's last line."""
        self._write(stage)
        self._written.pop(stage, None)

    def _write(self, stage: Stage) -> None:
        self._written[stage] = time.monotonic()
        self.event(
            "stage",
            name=stage.name,
            state=stage.state,
            done=stage.done,
            total=stage.total,
            seconds=round(stage.seconds, 3),
        )
