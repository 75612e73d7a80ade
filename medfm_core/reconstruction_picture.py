"""A picture of a reconstruction: input, what came back, the difference, and the tokens, plane by plane."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from medfm_core.reconstruction import Reconstruction
from medfm_core.slice_planes import height_by_width, plane, planes_of, show_plane

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

    planes = planes_of(found.image)
    heights = [_CELL_INCHES * height_by_width(found.image, axis) for axis in planes]
    size = (len(_TITLES) * _CELL_INCHES, sum(heights) + 0.4 * len(planes) + 0.5)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots(len(planes), len(_TITLES), squeeze=False, height_ratios=heights)
    low, high = float(found.image.voxels.min()), float(found.image.voxels.max())
    spread = max(high - low, 1e-6)
    number = _shuffled(int(found.tokens.voxels.max()))
    for row, axis in zip(axes, planes, strict=True):
        middle, show = found.image.shape[axis] // 2, partial(show_plane, volume=found.image, axis=axis)
        image, drawn, tokens = (plane(v.voxels, axis, middle) for v in (found.image, found.drawn, found.tokens))
        show(row[0], image, cmap="gray", vmin=low, vmax=high)
        show(row[1], drawn, cmap="gray", vmin=low, vmax=high)
        show(row[2], drawn - image, cmap="RdBu_r", vmin=-spread / 4, vmax=spread / 4)
        show(row[3], number[tokens], cmap="turbo", vmin=0, vmax=len(number), interpolation="nearest")
    for cell, title in zip(axes[0], _TITLES, strict=True):
        cell.set_title(title, fontsize=10)
    figure.suptitle(
        f"PSNR {found.psnr_db:.1f} dB (one value everywhere: {found.flat_psnr_db:.1f} dB), degree of anisotropy "
        f"{found.degree}; difference: red brighter, blue darker, up to a quarter of the range",
        fontsize=9,
    )
    figure.savefig(path, dpi=_DPI, format="png")


def _shuffled(most: int) -> np.ndarray:
    """Numbers for colours, so that neighbouring token numbers do not look alike; the same ones each time."""
    order = np.random.default_rng(0).permutation(most) + 1
    return np.concatenate([[0], order])
