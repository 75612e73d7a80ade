"""Thicker slices as augmentation: how likely which degree of anisotropy becomes by it, and the averaging of slices.

With probability `share` a volume's slices are taken together, `2 ** u` of them on average, with u even between 0 and
the binary logarithm of the most. So the degree of a volume is random, and of a wanted degree the thickening can be
drawn: both by the same density, so that choosing the degree first changes nothing about how often what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from medfm_core.layers.anisotropy import SINGLE_SLICE_DEGREE, SINGLE_SLICE_SPACING_MM, degree_of_anisotropy

DEGREES = SINGLE_SLICE_DEGREE + 1


@dataclass(frozen=True)
class Thickening:
    """How slices are thickened.

    Attributes:
        share: of the volumes that are.
        most: slices of the volume that make one at the most.
        single: share of the volumes of which one slice is seen alone, as a 2D image.
    """

    share: float = 0.5
    most: float = 8.0
    single: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.single <= 1):
            raise ValueError(f"share {self.share} and single {self.single} must lie from 0 to 1")
        if self.most < 1:
            raise ValueError(f"most {self.most} must be at least 1")

    def chances(self, spacing_mm: Sequence[float]) -> np.ndarray:
        """How likely each degree is for a volume, `(6,)`; they sum to 1.

        Args:
            spacing_mm: along D, H, W, as `slice_spacing` gives it.
        """
        found = np.zeros(DEGREES)
        own = degree_of_anisotropy(spacing_mm)
        if spacing_mm[0] >= SINGLE_SLICE_SPACING_MM:
            found[SINGLE_SLICE_DEGREE] = 1.0
            return found
        volume = 1 - self.single
        found[own] += volume * (1 - self._share)
        if self._share:
            found += volume * self._share * self._lengths(spacing_mm) / log2(self.most)
        found[SINGLE_SLICE_DEGREE] += self.single
        return found

    def draw(self, spacing_mm: Sequence[float], degree: int, rng: np.random.Generator) -> float | None:
        """Draw how many slices become one, for a volume that shall have a degree.

        Args:
            spacing_mm: along D, H, W, as `slice_spacing` gives it.
            degree: one that has a chance.
            rng: of the draw.

        Returns:
            A number of slices, 1 or more; None for a single slice.
        """
        own = degree_of_anisotropy(spacing_mm)
        if spacing_mm[0] >= SINGLE_SLICE_SPACING_MM:
            return None
        lengths = self._lengths(spacing_mm) if self._share else np.zeros(DEGREES)
        volume = 1 - self.single
        thick = volume * self._share * lengths[degree] / log2(self.most) if self._share else 0.0
        plain = volume * (1 - self._share) * (own == degree)
        single = self.single * (degree == SINGLE_SLICE_DEGREE)
        place = rng.random() * (thick + plain + single)
        if place < single:
            return None
        if place < single + plain or not thick:
            return 1.0
        low, high = self._span(spacing_mm, degree)
        return float(2 ** rng.uniform(low, high))

    @property
    def _share(self) -> float:
        return self.share if self.most > 1 else 0.0

    def _lengths(self, spacing_mm: Sequence[float]) -> np.ndarray:
        """How long the range of u is that leads to each degree, `(6,)`."""
        spans = (self._span(spacing_mm, degree) for degree in range(DEGREES))
        return np.array([max(high - low, 0.0) for low, high in spans])

    def _span(self, spacing_mm: Sequence[float], degree: int) -> tuple[float, float]:
        """The range of u that leads to a degree; upside down where none does."""
        start = log2(spacing_mm[0] / min(spacing_mm[1:]))
        low = float(-np.inf) if degree == 0 else degree - start
        high = float(np.inf) if degree == SINGLE_SLICE_DEGREE else degree + 1 - start
        return max(low, 0.0), min(high, log2(self.most))


def slices_needed(count: int, factor: float) -> int:
    """Slices of a volume that make `count` thick ones."""
    return int(np.ceil(count * factor - 1e-6))


def thicken(slices: np.ndarray, count: int, factor: float) -> np.ndarray:
    """Average slices over the thickness of new ones, which lie side by side.

    Args:
        slices: `(slices_needed(count, factor), H, W)`.
        count: of the new slices.
        factor: how many old ones make a new one.

    Returns:
        `(count, H, W)` float32.
    """
    if factor == 1:
        return slices[:count]
    edges = np.arange(count + 1) * factor
    places = np.arange(len(slices))
    low = np.maximum(edges[:-1, None], places)
    high = np.minimum(edges[1:, None], places + 1)
    weights = np.maximum(high - low, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights.astype(np.float32), slices.astype(np.float32, copy=False), axes=1)
