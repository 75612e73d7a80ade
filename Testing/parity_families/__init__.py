"""Comparisons with recorded outputs of published models, one file per family.

A family's `compare(config, weights, io)` takes the fixture's configuration as plain data, the path of its weights and
its recorded tensors, and returns `Comparison`s: one for every recorded output, whatever the fixture's sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

FEATURE_TOLERANCE = 2e-5
LOSS_TOLERANCE = 1e-6
FAMILIES = {
    "neuro_jepa": "parity_families.neuro_jepa:compare",
    "spad": "parity_families.spad:compare",
    "totalfm": "parity_families.totalfm:compare",
}
"""Family, the word that its fixtures' names begin with, to `module:function`."""


@dataclass(frozen=True)
class Comparison:
    """One output: what we computed, what was recorded, and how far they may be apart.

    Attributes:
        name: name of the recorded tensor.
        ours: our tensor; None where we have nothing to compare, which is a failure.
        recorded: the recorded tensor.
        tolerance: largest absolute difference, of values of order 1; larger values may differ in proportion.
    """

    name: str
    ours: Tensor | None
    recorded: Tensor
    tolerance: float = FEATURE_TOLERANCE

    @property
    def error(self) -> float:
        """Largest absolute difference; infinite where shapes differ or something is not a number."""
        if self.ours is None or self.ours.shape != self.recorded.shape:
            return float("inf")
        error = float((self.ours.double() - self.recorded.double()).abs().max())
        return error if error == error else float("inf")

    @property
    def allowed(self) -> float:
        """Largest difference allowed: the tolerance times the recorded root mean square where that is above 1."""
        return self.tolerance * max(1.0, float(self.recorded.double().square().mean().sqrt()))

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        return self.error <= self.allowed


Compare = Callable[[Mapping[str, Any], Path, Mapping[str, Tensor]], list[Comparison]]
