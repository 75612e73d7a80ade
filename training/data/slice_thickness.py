"""Thicker slices as augmentation: how likely which degree of anisotropy becomes by it, and the averaging of slices.

With probability `share` a volume's slices are taken together, `2 ** u` of them on average, with u even between 0 and
the most that the volume allows. So the degree of a volume is random, each degree that can be reached as likely as the
next, and of a wanted degree the thickening can be drawn: both by the same density, so that choosing the degree first
changes nothing about how often what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from medfm_core.layers.anisotropy import (
    SINGLE_SLICE_DEGREE,
    SINGLE_SLICE_SPACING_MM,
    degree_of_anisotropy,
    octaves_of_anisotropy,
)

DEGREES = SINGLE_SLICE_DEGREE + 1


@dataclass(frozen=True)
class Thickening:
    """How slices are thickened.

    Attributes:
        share: of the volumes that are.
        most: slices of the volume that make one at the most; 32 leads cubic voxels up to the degree 4. Never so many
            that slices become thicker than degree 4 means: beyond that lie single slices.
        fewest: thick slices that must be left of a volume.
        single: share of the volumes of which one slice is seen alone, as a 2D image.
    """

    share: float = 0.5
    most: float = 8.0
    fewest: int = 4
    single: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.single <= 1):
            raise ValueError(f"share {self.share} and single {self.single} must lie from 0 to 1")
        if self.most < 1 or self.fewest < 1:
            raise ValueError(f"most {self.most} and fewest {self.fewest} must be at least 1")

    def chances(self, spacing_mm: Sequence[float], slices: int) -> np.ndarray:
        """How likely each degree is for a volume, `(6,)`; they sum to 1.

        Args:
            spacing_mm: along D, H, W, as `slice_spacing` gives it.
            slices: how many the volume has.
        """
        found = np.zeros(DEGREES)
        if spacing_mm[0] >= SINGLE_SLICE_SPACING_MM:
            found[SINGLE_SLICE_DEGREE] = 1.0
            return found
        octaves = self._octaves(spacing_mm, slices)
        thick = self.share if octaves > 0 else 0.0
        volume = 1 - self.single
        found[degree_of_anisotropy(spacing_mm)] += volume * (1 - thick)
        if thick:
            spans = (_span(spacing_mm, degree, octaves) for degree in range(DEGREES))
            found += volume * thick * np.array([max(high - low, 0.0) for low, high in spans]) / octaves
        found[SINGLE_SLICE_DEGREE] += self.single
        return found

    def draw(self, spacing_mm: Sequence[float], slices: int, degree: int, rng: np.random.Generator) -> float | None:
        """Draw how many slices become one, for a volume that shall have a degree.

        Args:
            spacing_mm: along D, H, W, as `slice_spacing` gives it.
            slices: how many the volume has.
            degree: one that has a chance.
            rng: of the draw.

        Returns:
            A number of slices, 1 or more; None for a single slice.
        """
        if spacing_mm[0] >= SINGLE_SLICE_SPACING_MM:
            return None
        octaves = self._octaves(spacing_mm, slices)
        low, high = _span(spacing_mm, degree, octaves)
        share = self.share if octaves > 0 else 0.0
        volume = 1 - self.single
        thick = volume * share * max(high - low, 0.0) / octaves if share else 0.0
        plain = volume * (1 - share) * (degree_of_anisotropy(spacing_mm) == degree)
        single = self.single * (degree == SINGLE_SLICE_DEGREE)
        place = rng.random() * (thick + plain + single)
        if place < single:
            return None
        if place < single + plain or not thick:
            return 1.0
        return float(2 ** rng.uniform(low, high))

    def _octaves(self, spacing_mm: Sequence[float], slices: int) -> float:
        """The largest u of a volume; 0 or less where nothing can be taken together."""
        room = SINGLE_SLICE_DEGREE - octaves_of_anisotropy(spacing_mm)
        return min(log2(self.most), log2(max(slices, 1) / self.fewest), room)


def _span(spacing_mm: Sequence[float], degree: int, octaves: float) -> tuple[float, float]:
    """The range of u, at most `octaves`, that leads to a degree; upside down where none does."""
    start = octaves_of_anisotropy(spacing_mm)
    low = float(-np.inf) if degree == 0 else degree - start
    high = float(np.inf) if degree == SINGLE_SLICE_DEGREE else degree + 1 - start
    return max(low, 0.0), min(high, octaves)


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
