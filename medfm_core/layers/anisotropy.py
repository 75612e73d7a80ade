"""How much thicker slices are than pixels, and what is left of that after some halvings in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from medfm_core.errors import InputError

SINGLE_SLICE_DEGREE = 5
"""Degree of a 2D image for a total stride of 16: its depth is never read as a neighbourhood."""
SINGLE_SLICE_SPACING_MM = 1e8
_ROUNDING = 1e-5  # spacings come as decimals: 3.6 / 0.9 must not fall short of 4


class Anisotropy(NamedTuple):
    """What a spatially adaptive layer must know besides the activation.

    It travels beside the tensor as plain integers, so that compiling, activation checkpointing and autocast see nothing
    unusual.

    Attributes:
        degree: degree of anisotropy of the image, 0 for cubic voxels; see `degree_of_anisotropy`.
        halvings: how often the plane has been halved so far, 0 for the image itself.

    Source: SPAD spec, section 1.
    """

    degree: int
    halvings: int = 0

    @property
    def pending(self) -> int:
        """Halvings of the plane that must come before the depth may be halved."""
        return max(self.degree - self.halvings, 0)

    @property
    def owed(self) -> int:
        """Doublings of the depth that are left on the way up."""
        return max(self.halvings - self.degree, 0)

    def halved(self, times: int) -> Anisotropy:
        """The state after the plane has been halved `times` more."""
        return Anisotropy(self.degree, self.halvings + times)

    def doubled(self, times: int) -> Anisotropy:
        """The state after the plane has been doubled `times`.

        Raises:
            ValueError: it would be finer than the image.
        """
        if times > self.halvings:
            raise ValueError(f"{times} doublings after {self.halvings} halvings lead beyond the image")
        return Anisotropy(self.degree, self.halvings - times)


def degree_of_anisotropy(spacing_mm: Sequence[float], most: int = SINGLE_SLICE_DEGREE) -> int:
    """Whole part of the binary logarithm of slice spacing over pixel spacing, from 0 to `most`.

    Args:
        spacing_mm: between slices, rows and columns. Of a 2D image, the first is `SINGLE_SLICE_SPACING_MM`.
        most: larger degrees count as this one; 5 for networks of a total stride of 16.

    Raises:
        InputError: a spacing is not a positive number.

    Source: SPAD spec, section 1.
    """
    return min(max(math.floor(octaves_of_anisotropy(spacing_mm)), 0), most)


def octaves_of_anisotropy(spacing_mm: Sequence[float]) -> float:
    """Binary logarithm of slice over pixel spacing, below 0 where slices are thinner than pixels are wide.

    Args:
        spacing_mm: between slices, rows and columns.

    Raises:
        InputError: a spacing is not a positive number.
    """
    if len(spacing_mm) != 3 or not all(math.isfinite(value) and value > 0 for value in spacing_mm):
        raise InputError(f"the voxel spacing {list(spacing_mm)} is not three positive lengths", "give it in mm")
    depth, rows, columns = spacing_mm
    return math.log2(depth / min(rows, columns) * (1 + _ROUNDING))


def adaptive_patch(side: int, degree: int) -> tuple[int, int, int]:
    """Voxels of a token along D, H, W for a nominal side, a power of two.

    Source: SPAD spec, section 2: `(max(side >> degree, 1), side, side)`.
    """
    return max(side >> degree, 1), side, side
