"""Progress as events: stages, and how much of the whole is done and how long the rest will take. No torch here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from medfm_core.progress import Progress, Stage

_EVERY_S = 0.2
_KNOWN_AFTER = 0.05  # of the work; an earlier guess from speed alone jumps about


class Telling(Progress):
    """Turns stages into the events "stage", "progress" and "log".

    The whole is known by the shares of its outermost stages; within one, the last stage that counts its steps tells.

    Args:
        tell: takes an event's name and fields.
        cancelled: asked between two steps whether to stop.
        shares: outermost stage to its share of the work, in any unit; what is not listed takes none.
        expected_seconds: of the whole, where it can be said beforehand.
    """

    def __init__(
        self,
        tell: Callable[..., None],
        cancelled: Callable[[], bool] | None = None,
        shares: Mapping[str, float] | None = None,
        expected_seconds: float | None = None,
    ) -> None:
        super().__init__(cancelled)
        self._tell, self._open, self._begin, self._told = tell, [], time.perf_counter(), 0.0
        self.expect(shares or {}, expected_seconds)

    def expect(self, shares: Mapping[str, float], expected_seconds: float | None = None) -> None:
        """Say what is coming, where that is known only after the work began."""
        total = sum(shares.values())
        self._shares = {name: share / total for name, share in shares.items()} if total > 0 else {}
        self._expected, self._finished, self._fraction = expected_seconds, 0.0, 0.0

    def message(self, text: str) -> None:
        """Tell a sentence."""
        self._tell("log", level="info", text=text)

    def began(self, stage: Stage) -> None:
        """Tell that a stage began."""
        self._open.append(stage)
        self._stage(stage)
        self._progress(stage.name, at_once=True)

    def moved(self, stage: Stage) -> None:
        """Tell how far the whole is, unless that was just told."""
        self._progress(self._open[0].name if self._open else stage.name)

    def ended(self, stage: Stage) -> None:
        """Tell that a stage is over."""
        if stage in self._open:
            del self._open[self._open.index(stage) :]
        if not self._open:
            self._finished += self._shares.get(stage.name, 0.0)
        self._stage(stage)
        self._progress(stage.name, at_once=True)

    def _stage(self, stage: Stage) -> None:
        self._tell(
            "stage",
            name=stage.name,
            state=stage.state,
            depth=len(self._open) - 1 if stage in self._open else len(self._open),
            done=stage.done,
            total=stage.total,
            seconds=round(stage.seconds, 3),
        )

    def _progress(self, name: str, at_once: bool = False) -> None:
        now = time.perf_counter()
        if not self._shares or (now - self._told < _EVERY_S and not at_once):
            return
        self._told = now
        self._fraction = max(self._fraction, min(1.0, self._finished + self._within()))
        left = self._remaining(now - self._begin)
        self._tell(
            "progress",
            name=self._open[0].name if self._open else name,
            fraction=round(self._fraction, 4),
            remaining_seconds=None if left is None else round(left, 1),
        )

    def _within(self) -> float:
        """The share that is done of the outermost open stage."""
        if not self._open:
            return 0.0
        counting = [stage for stage in self._open if stage.total]
        part = min(1.0, counting[-1].done / counting[-1].total) if counting else 0.0
        return self._shares.get(self._open[0].name, 0.0) * part

    def _remaining(self, elapsed: float) -> float | None:
        """What was expected, giving way to what is seen as the work goes on."""
        done = self._fraction
        if self._expected is not None:
            whole = (1 - done) * self._expected + elapsed
            return max(0.0, (1 - done) * whole)
        return None if done < _KNOWN_AFTER else elapsed * (1 - done) / done


def shares_of_files(files: Mapping[str, int | None]) -> dict[str, float]:
    """Shares of fetching, verifying and copying files, by their sizes in bytes."""
    shares: dict[str, float] = {}
    for name, size in files.items():
        shares |= {
            f"Fetch {name}": float(size or 1),
            f"Copy {name}": float(size or 1),
            f"Verify {name}": 0.1 * (size or 1),
        }
    return shares
