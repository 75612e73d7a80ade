"""Drawing a run while it goes on, only as often as it costs next to nothing."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from training.engine.monitors.plots import plot_run

logger = logging.getLogger(__name__)
_MOST_SHARE = 0.005
_FIRST_COST_S = 3.0


class Pictures:
    """The plots of a run; drawing during it takes at most half a percent of its time.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._begun = folder, time.perf_counter()
        self._cost_s, self._spent_s = _FIRST_COST_S, 0.0

    def draw_if_cheap(self) -> None:
        """Draw the overview, unless it would cost too much by now."""
        if self._spent_s + self._cost_s <= _MOST_SHARE * (time.perf_counter() - self._begun):
            self.draw(panels=False)

    def draw(self, panels: bool = True) -> None:
        """Draw the overview, and all panels; a failure is logged and does not end the run."""
        begun = time.perf_counter()
        try:
            plot_run(self._folder, panels=panels)
        except Exception as problem:  # a picture must not end a run
            logger.warning("no plots of this run: %s", problem)
        self._cost_s = time.perf_counter() - begun
        self._spent_s += self._cost_s
