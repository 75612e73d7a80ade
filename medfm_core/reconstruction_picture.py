"""A picture of a reconstruction: input, what came back, the difference, and the tokens, plane by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.reconstruction import Reconstruction

_TITLES = ("input", "drawn from tokens", "difference", "likeliest token")
_DPI = 120
_CELL_INCHES = 2.75


def draw_reconstruction(found: Reconstruction, path: str | Path) -> None:
    """Draw the middle of an image along each axis, or a 2D image as it is, as PNG.

    Args:
        found: the image and what came back of it.
        path: the file to write.
    """
    from matplotlib.figure import Figure

    planes = (0, 1, 2) if found.image.shape[0] > 1 else (0,)
    heights = [_CELL_INCHES * _height_by_width(found, axis) for axis in planes]
    size = (len(_TITLES) * _CELL_INCHES, sum(heights) + 0.4 * len(planes) + 0.5)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots(len(planes), len(_TITLES), squeeze=False, height_ratios=heights)
    low, high = float(found.image.voxels.min()), float(found.image.voxels.max())
    spread = max(high - low, 1e-6)
    number = _shuffled(int(found.tokens.voxels.max()))
    for row, axis in zip(axes, planes, strict=True):
        image, drawn, tokens = (_plane(v.voxels, axis) for v in (found.image, found.drawn, found.tokens))
        shape = _aspect(found.image.spacing, axis)
        _show(row[0], image, shape, cmap="gray", vmin=low, vmax=high)
        _show(row[1], drawn, shape, cmap="gray", vmin=low, vmax=high)
        _show(row[2], drawn - image, shape, cmap="RdBu_r", vmin=-spread / 4, vmax=spread / 4)
        _show(row[3], number[tokens], shape, cmap="turbo", vmin=0, vmax=len(number), interpolation="nearest")
    for cell, title in zip(axes[0], _TITLES, strict=True):
        cell.set_title(title, fontsize=10)
    figure.suptitle(
        f"PSNR {found.psnr_db:.1f} dB (one value everywhere: {found.flat_psnr_db:.1f} dB), degree of anisotropy "
        f"{found.degree}; difference: red brighter, blue darker, up to a quarter of the range",
        fontsize=9,
    )
    figure.savefig(path, dpi=_DPI, format="png")


def _plane(voxels: np.ndarray, axis: int) -> np.ndarray:
    """The middle plane across an axis, rows top down: slices run upwards in planes across rows and columns."""
    plane = np.take(voxels, voxels.shape[axis] // 2, axis=axis)
    return plane if axis == 0 else plane[::-1]


def _height_by_width(found: Reconstruction, axis: int) -> float:
    """Of a plane, in mm; at most 3, so that no picture becomes endless."""
    rows, columns = (n * step for place, (n, step) in
                     enumerate(zip(found.image.shape, found.image.spacing, strict=True)) if place != axis)  # fmt: skip
    return min(rows / columns, 3.0)


def _aspect(spacing: tuple[float, ...], axis: int) -> float:
    rows, columns = (step for place, step in enumerate(spacing) if place != axis)
    return rows / columns


def _show(cell: Any, values: np.ndarray, aspect: float, **how: Any) -> None:
    cell.imshow(values, aspect=aspect, **how)
    cell.set_xticks([])
    cell.set_yticks([])


def _shuffled(most: int) -> np.ndarray:
    """Numbers for colours, so that neighbouring token numbers do not look alike; the same ones each time."""
    order = np.random.default_rng(0).permutation(most) + 1
    return np.concatenate([[0], order])
