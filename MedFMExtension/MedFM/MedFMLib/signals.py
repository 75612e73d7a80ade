"""A signal in plain Python: Qt's own cannot be made by scripts inside Slicer without crashes."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Signal:
    """Calls what is connected, in order; one that fails is logged and does not keep the others from their call."""

    def __init__(self) -> None:
        self._slots: list[Callable[..., None]] = []

    def connect(self, slot: Callable[..., None]) -> None:
        """Call `slot` at every `emit`."""
        self._slots.append(slot)

    def disconnect(self, slot: Callable[..., None]) -> None:
        """Call it no more; one that was not connected is passed over."""
        if slot in self._slots:
            self._slots.remove(slot)

    def clear(self) -> None:
        """Call nobody any more."""
        self._slots.clear()

    def emit(self, *values: object) -> None:
        """Call what is connected."""
        for slot in tuple(self._slots):
            try:
                slot(*values)
            except Exception:  # a widget that is gone must not stop the state behind it
                _LOG.exception("a listener failed")
