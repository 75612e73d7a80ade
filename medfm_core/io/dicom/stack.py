"""Order slices by where they lie and place the stack they make. Pure geometry: no files, no pixels.

Slices are sorted by the projection of ImagePositionPatient on the normal, never by InstanceNumber, and their distance
is measured, never taken from SliceThickness or SpacingBetweenSlices.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees

import numpy as np

from medfm_core.errors import GeometryError
from medfm_core.geometry import Affine

SAME_MM = 0.01  # slices closer than this lie at the same place
_UNEVEN = 0.1  # share of the slice distance by which a slice may lie off its even place
_NOTED = 0.02  # and by which it is mentioned
_TILT_NOTED_DEG = 0.5
_DRIFT_MM = 0.1  # sideways drift over the whole stack that counts as rounding


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order.

    Args:
        order: per slice the images that lie there, the first of which is to be used; from low to high.
        affine: columns, rows, slices to RAS+ mm.
        warnings: what is unusual, one sentence each.
    """

    order: tuple[tuple[int, ...], ...]
    affine: Affine
    warnings: tuple[str, ...]


def normal_of(orientation: np.ndarray) -> np.ndarray:
    """Unit normal of an image plane, `(3,)` LPS, from ImageOrientationPatient `(6,)`."""
    return np.cross(orientation[:3], orientation[3:])


def check_orientation(orientation: np.ndarray, where: str) -> np.ndarray:
    """Return ImageOrientationPatient `(6,)` as two exact unit vectors.

    Raises:
        GeometryError: the vectors are not of length 1 or not at right angles.
    """
    across, down = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(across @ down) > 0.01:
        raise GeometryError(
            f"{where} has an ImageOrientationPatient (0020,0037) that is no pair of unit vectors at right angles",
            "export the series again",
        )
    return np.concatenate([across / lengths[0], down / lengths[1]])


def group_by_place(positions: np.ndarray, normal: np.ndarray) -> list[list[int]]:
    """Sort images along the normal and put those at the same place together.

    Args:
        positions: ImagePositionPatient per image, `(N, 3)`, LPS mm.
        normal: `(3,)`.

    Returns:
        Indices per place, from low to high; in the given order within a place.
    """
    heights = positions @ normal
    groups: list[list[int]] = []
    for index in np.argsort(heights, kind="stable"):
        if groups and heights[index] - heights[groups[-1][0]] < SAME_MM:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return [sorted(group) for group in groups]


def build_stack(positions: np.ndarray, orientation: np.ndarray, pixel_spacing: np.ndarray, name: str) -> Stack:
    """Order images and place the volume that they make.

    Args:
        positions: ImagePositionPatient per image, `(N, 3)`, LPS mm.
        orientation: common ImageOrientationPatient, `(6,)`, two unit vectors.
        pixel_spacing: PixelSpacing `(2,)`: between rows, between columns, mm.
        name: how messages call the series.

    Raises:
        GeometryError: fewer than two places, missing slices, uneven distances, or slices that lie askew.
    """
    normal = normal_of(orientation)
    order = group_by_place(positions, normal)
    if len(order) < 2:
        raise GeometryError(f"{name} holds one slice", "give a scan with at least 2 slices")
    places = positions[[group[0] for group in order]]
    heights = places @ normal
    warnings = _check_distances(heights, name)
    count = len(order)
    step = (places[-1] - places[0]) / (count - 1)
    along = float(step @ normal)
    askew = places - (places[0] + np.arange(count)[:, None] * step)
    sideways = np.linalg.norm(askew - np.outer(askew @ normal, normal), axis=1)
    if sideways.max() > max(_UNEVEN * along, 0.5 * pixel_spacing.min()):
        raise GeometryError(
            f"the slices of {name} do not lie behind one another: one is {sideways.max():.4g} mm off the line",
            "export one stack of parallel slices",
        )
    drift = np.linalg.norm(step - along * normal)
    if drift * (count - 1) < _DRIFT_MM:
        step = along * normal
    else:
        tilt = degrees(atan2(drift, along))
        if tilt >= _TILT_NOTED_DEG:
            warnings.append(f"The slices are shifted against each other (gantry tilt, {tilt:.1f} degrees).")
    matrix = np.eye(4)
    matrix[:3, 0] = orientation[:3] * pixel_spacing[1]
    matrix[:3, 1] = orientation[3:] * pixel_spacing[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = places[0]
    affine = Affine(np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix)
    return Stack(tuple(tuple(group) for group in order), affine, tuple(warnings))


def _check_distances(heights: np.ndarray, name: str) -> list[str]:
    """Refuse gaps and uneven distances; return a warning for slight unevenness."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps[gaps <= 1.1 * gaps.min()]))
    missing = np.rint(gaps / usual).astype(int) - 1
    if missing.any() and (np.abs(gaps / usual - (missing + 1)) < _UNEVEN * (missing + 1)).all():
        at = np.flatnonzero(missing)
        spots = ", ".join(f"between {heights[i]:.1f} and {heights[i + 1]:.1f} mm" for i in at[:3])
        spots += f" and at {len(at) - 3} more places" if len(at) > 3 else ""
        total = int(missing.sum())
        raise GeometryError(
            f"{name} lacks {total} slice{'s' if total > 1 else ''} {spots} (slices are {usual:.4g} mm apart)",
            "export the whole series",
        )
    even = np.linspace(heights[0], heights[-1], len(heights))
    off = float(np.abs(heights - even).max())
    step = float(even[1] - even[0])
    if off > _UNEVEN * step:
        raise GeometryError(
            f"the slices of {name} are unevenly spaced, {gaps.min():.4g} to {gaps.max():.4g} mm apart",
            "export a reconstruction with even spacing or resample it first",
        )
    if off > _NOTED * step:
        return [
            f"Slice distances vary from {gaps.min():.4g} to {gaps.max():.4g} mm; {step:.4g} mm is taken throughout."
        ]
    return []
