"""Stopping between two steps when the user or the scheduler of a cluster asks for it."""

from __future__ import annotations

import signal
from types import FrameType


class StopRequest:
    """Watches for Ctrl-C and SIGTERM while the block runs; a second Ctrl-C stops at once.

    Attributes:
        signal: number of the signal that asked, None so far.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        """Start to watch."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
