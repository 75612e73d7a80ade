"""One figure of merit that may not exist: then it says why, and is never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Score:
    """A figure, or the reason why there is none.

    Attributes:
        value: the figure; None where it is not defined.
        note: why there is none, or what was left out of it.
        count: items that it was computed from.
        parts: the same figure per class or label, where the value is their mean.
    """

    value: float | None
    note: str = ""
    count: int = 0
    parts: Mapping[str, Score] = field(default_factory=dict)

    @property
    def number(self) -> float:
        """The value, NaN where there is none."""
        return math.nan if self.value is None else self.value


def mean_of(parts: Mapping[str, Score], count: int) -> Score:
    """Mean of the parts that have a value; the note names those that have none.

    Args:
        parts: scores by class or label.
        count: items behind them all.
    """
    values = [part.value for part in parts.values() if part.value is not None]
    left_out = [f"{name} ({part.note})" for name, part in parts.items() if part.value is None]
    named = ", ".join(left_out[:5]) + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else "")
    if not values:
        return Score(None, f"nothing can be scored: {named}" if named else "there is nothing to score", count, parts)
    return Score(float(np.mean(values)), f"left out: {named}" if named else "", count, parts)
