"""Schedules: pure functions of the step, so that a resumed run needs to remember nothing."""

from __future__ import annotations

import math
from typing import Literal

Shape = Literal["cosine", "linear", "constant"]


def warm_up(step: int, steps: int) -> float:
    """Share of the peak during a linear warm-up: `1 / steps` at step 0, 1 from step `steps - 1` on."""
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def between(shape: Shape, start: float, end: float, step: int, steps: int) -> float:
    """Go from one value to another over a run.

    Args:
        shape: `cosine`, `linear`, or `constant`, which stays at `start`.
        start: value at step 0.
        end: value that step `steps` would have.
        step: where the run is, from 0.
        steps: length of the run.
    """
    if shape == "constant":
        return start
    share = min(1.0, step / max(1, steps))
    weight = (1 + math.cos(math.pi * share)) / 2 if shape == "cosine" else 1 - share
    return end + (start - end) * weight
