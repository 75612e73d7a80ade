"""A picture of what an image's vector depends on: the image, and the map over it, plane by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.image_saliency import ImageSaliency
from medfm_core.slice_planes import height_by_width, plane, planes_of, show_plane

_TITLES = ("image", "what the vector depends on")
_DPI = 120
_CELL_INCHES = 3.6
_OPAQUE = 0.7
_LINE = {"color": "white", "linewidth": 0.6, "alpha": 0.7, "linestyle": ":"}


def draw_image_saliency(found: ImageSaliency, path: str | Path) -> None:
    """Draw the planes through the highest place of a map, or a 2D image as it is, as PNG.

    Args:
        found: image and map.
        path: the file to write.
    """
    from matplotlib.figure import Figure

    slices, heat = found.slices, found.heat
    place = np.unravel_index(int(np.argmax(heat.voxels)), heat.shape)
    planes = planes_of(slices)
    heights = [_CELL_INCHES * height_by_width(slices, axis) for axis in planes]
    size = (len(_TITLES) * _CELL_INCHES + 0.8, sum(heights) + 0.35 * len(planes) + 0.8)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    cells = figure.subplots(len(planes), len(_TITLES), squeeze=False, height_ratios=heights)
    low, high = np.percentile(slices.voxels, (0.5, 99.5))
    for row, axis in zip(cells, planes, strict=True):
        grey, warm = (plane(volume.voxels, axis, place[axis]) for volume in (slices, heat))
        for cell in row:
            show_plane(cell, grey, slices, axis, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        opaque = _OPAQUE * np.sqrt(warm.clip(0, 1))  # what is 0 leaves the image as it is
        shown = show_plane(row[1], warm, slices, axis, cmap="inferno", vmin=0, vmax=1, alpha=opaque)
        if len(planes) > 1:
            _mark(row[0], axis, place, slices.shape)
    for cell, title in zip(cells[0], _TITLES, strict=True):
        cell.set_title(title, fontsize=10)
    bar = figure.colorbar(shown, ax=list(cells[:, 1]), fraction=0.04, pad=0.02)
    bar.set_label("relevance, the highest 1", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(
        "what made the vector of this image, not what is abnormal\n"
        f"cosine with the vector of the blurred image {1 - found.at_stake:.2f}; "
        f"the tenth of the tokens with most holds {found.top_tenth:.0%} of the map",
        fontsize=9,
    )
    figure.savefig(path, dpi=_DPI, format="png")


def _mark(cell: Any, axis: int, place: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Lines where the other two planes lie."""
    rows, columns = (other for other in range(3) if other != axis)
    cell.axhline(place[rows] if axis == 0 else shape[rows] - 1 - place[rows], **_LINE)
    cell.axvline(place[columns], **_LINE)
