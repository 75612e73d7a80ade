"""How far a run is, as its worker tells it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

_KEPT_LINES = 200


class RunProgress:
    """What is being done, how much of it is done, and what was told.

    Attributes:
        stage: what is being done.
        fraction: of the whole, 0 to 1.
        left: seconds that are left, as they were told at `left_at` of the monotonic clock; None where not known.
        left_at: see there.
    """

    def __init__(self) -> None:
        self.stage, self.fraction = "", 0.0
        self.left: float | None = None
        self.left_at = 0.0
        self._log: list[str] = []

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of what was told."""
        return tuple(self._log[-_KEPT_LINES:])

    def begin(self, stage: str) -> None:
        """Nothing is done yet."""
        self.stage, self.fraction, self.left = stage, 0.0, None
        self._log = []

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take an event of the worker in; whether it changes what is shown."""
        kind = event["event"]
        if kind == "progress":
            self.fraction, self.stage = float(event["fraction"]), event["name"]
            self.left, self.left_at = event["remaining_seconds"], time.monotonic()
        elif kind == "stage" and event.get("depth") == 0 and event["state"] == "done":
            self._log.append(f"{event['name']}: {event['seconds']:.1f} s")
        elif kind == "log":
            self._log.append(str(event["text"]))
        return kind in ("progress", "log")

    def time_left(self) -> str:
        """How long it will take from now on; it counts down between two events."""
        if self.left is None:
            return ""
        left = self.left - (time.monotonic() - self.left_at)
        return "almost done" if left < 2 else f"about {duration(left)} left"


def duration(seconds: float) -> str:
    """A time for the user, as exact as it can be known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
