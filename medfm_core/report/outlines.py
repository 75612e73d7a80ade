"""Outlines of the labels in a plane, as SVG paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from contourpy import LineType, contour_generator

UNITS_PER_MM = 10
_TOLERANCE_MM = 0.2
_LEAST_PIXELS = 3


@dataclass(frozen=True)
class Outline:
    """One structure in one plane: its label value and its border as SVG path data in tenths of a millimetre."""

    label: int
    path: str


def outlines(plane: np.ndarray, pixel_mm: tuple[float, float]) -> tuple[Outline, ...]:
    """Trace every label of a plane.

    Args:
        plane: labels `(rows, columns)`, 0 for nothing.
        pixel_mm: height and width of a pixel.

    Returns:
        One outline per label, the large ones first so that small ones lie on top.
    """
    counts = np.bincount(plane.ravel(), minlength=256)
    counts[0] = 0
    labels = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label] >= _LEAST_PIXELS]
    traced = [Outline(label, _path(plane == label, pixel_mm)) for label in labels]
    return tuple(outline for outline in traced if outline.path)


def _path(mask: np.ndarray, pixel_mm: tuple[float, float]) -> str:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    cut = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 2).astype(np.float32)
    lines = contour_generator(z=_smooth(cut), line_type=LineType.Separate).lines(0.45)
    parts = []
    for line in lines:
        corner = np.array([left - 1.5, top - 1.5])
        points = (line + corner) * (pixel_mm[1], pixel_mm[0])
        steps = np.rint(_simplify(points[:-1]) * UNITS_PER_MM).astype(int)
        if len(steps) > 2:
            parts.append(_commands(steps))
    return "".join(parts)


def _smooth(mask: np.ndarray) -> np.ndarray:
    """Take the stairs off a mask, a 1-2-1 mean along both axes, where that does not break thin parts."""
    blurred = (np.roll(mask, 1, 0) + 2 * mask + np.roll(mask, -1, 0)) / 4
    blurred = (np.roll(blurred, 1, 1) + 2 * blurred + np.roll(blurred, -1, 1)) / 4
    kept = np.count_nonzero((blurred > 0.45) & (mask > 0))
    return blurred if kept > 0.8 * np.count_nonzero(mask) else mask


def _simplify(points: np.ndarray) -> np.ndarray:
    """Drop points of a closed line that lie within the tolerance of the line between their neighbours."""
    for _ in range(4):
        if len(points) < 9:
            break
        count = len(points) // 2 * 2
        before, middle = points[0:count:2], points[1:count:2]
        chord = np.roll(before, -1, axis=0) - before
        offset = middle - before
        across = np.abs(chord[:, 0] * offset[:, 1] - chord[:, 1] * offset[:, 0])
        keep = np.ones(len(points), dtype=bool)
        keep[1:count:2] = across > _TOLERANCE_MM * np.maximum(np.hypot(chord[:, 0], chord[:, 1]), 1e-6)
        if keep.all():
            break
        points = points[keep]
    return points


def _commands(points: np.ndarray) -> str:
    """A closed path in relative steps: shortest to write."""
    steps = np.diff(points, axis=0)
    steps = steps[np.any(steps != 0, axis=1)]
    body = "".join(f"{x}{' ' if y >= 0 else ''}{y}{' '}" for x, y in steps.tolist()).rstrip()
    return f"M{points[0, 0]} {points[0, 1]}l{body}z"
