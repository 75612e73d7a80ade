"""Pictures of where the scores of present findings come from."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from medfm_core.anatomy import Vocabulary
from medfm_core.geometry import Grid
from medfm_core.measurements import OrganMeasurement
from medfm_core.report.heat import HeatStyle, HeatView, draw_heat
from medfm_core.saliency_result import SaliencyResult
from medfm_core.volume import Kind, Volume, crop, foreground_box, resample_to

MOST_FIGURES = 6
_METHODS = {"attention_rollout": "gradient-weighted attention rollout", "occlusion": "occlusion"}
_MARGIN_MM = 16.0  # around the map; what is drawn needs 15
_PIXEL_MM = 0.7
_WINDOWS = {  # system: name, level and width in HU
    "lungs": ("lung", -600.0, 1500.0),
    "bones": ("bone", 400.0, 1800.0),
    "spine": ("bone", 400.0, 1800.0),
}
_SOFT = ("soft-tissue", 40.0, 400.0)


@dataclass(frozen=True)
class HeatPicture:
    """One plane: its data address, size in pixels, and words."""

    plane: str
    position: str
    marks: tuple[str, str, str, str]
    alt: str
    image: str
    width: int
    height: int


@dataclass(frozen=True)
class SaliencyFigure:
    """The planes of one map; none where nothing raised the score.

    Attributes:
        anchor: the figure's id in the page.
        method: how the map was made, for readers.
        window: name, level and width of the grey picture, in words.
        pictures: axial, coronal, sagittal.
    """

    anchor: str
    method: str
    window: str
    pictures: tuple[HeatPicture, ...]


def saliency_figure(
    result: SaliencyResult, image: Volume, labels: Volume | None, members: Sequence[int], system: str
) -> SaliencyFigure:
    """Draw a map over the scan.

    Args:
        result: the map.
        image: the scan, HU.
        labels: the vocabulary's numbers on the scan's grid; None for no outline.
        members: numbers of the organ's structures.
        system: key of the vocabulary's systems; it decides the window.

    Raises:
        InputError: the map is negative or not finite.
    """
    name, level, width = _WINDOWS.get(system, _SOFT)
    anchor = "-".join(filter(None, ("map", result.finding, result.organ, result.side)))
    scene = _scene(result.heat, image, labels, members)
    style = HeatStyle(level_hu=level, width_hu=width, pixel_mm=_PIXEL_MM)
    views = () if scene is None else draw_heat(*scene, style)
    method = _METHODS.get(result.method, result.method)
    level_text = f"{level:.0f}".replace("-", "\u2212")
    window = f"{name} window, level {level_text}, width {width:.0f} HU"
    return SaliencyFigure(anchor, method, window, tuple(map(_picture, views)))


def label_numbers(members: Iterable[OrganMeasurement], vocabulary: Vocabulary) -> list[int]:
    """Values of the label map that measurements were made of."""
    names = [part for m in members for part in (m.name, *m.parts)]
    return sorted({vocabulary.by_name(name).id for name in names})


def _scene(
    heat: Volume, image: Volume, labels: Volume | None, members: Sequence[int]
) -> tuple[Volume, Volume, Volume | None] | None:
    """Image, map and organ on the part of the scan's grid around what the map marks."""
    on_scan = heat.grid.same_as(image.grid)
    box = foreground_box(heat.voxels) if on_scan else _reach(heat.grid, image.grid)
    if box is None:
        return None
    margin = [round(_MARGIN_MM / step) for step in image.spacing]
    start = [max(0, a - m) for a, m in zip(box[0], margin, strict=True)]
    stop = [min(n, b + m) for b, m, n in zip(box[1], margin, image.shape, strict=True)]
    part = crop(image, start, stop)
    heat = crop(heat, start, stop) if on_scan else resample_to(heat, part.grid, fill=0.0)
    if labels is None:
        return part, heat, None
    organ = crop(labels, start, stop)
    return part, heat, organ.with_voxels(np.isin(organ.voxels, members).astype(np.uint8), Kind.LABEL)


def _reach(inner: Grid, outer: Grid) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Box of the outer grid's voxels that the inner grid reaches; None where they do not meet."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in inner.shape])).reshape(3, -1).T
    at = outer.affine.to_voxel(inner.affine.to_world(corners))
    start = np.maximum(np.floor(at.min(axis=0)), 0).astype(int)
    stop = np.minimum(np.ceil(at.max(axis=0)) + 1, outer.shape).astype(int)
    return (tuple(start.tolist()), tuple(stop.tolist())) if (start < stop).all() else None


def _picture(view: HeatView) -> HeatPicture:
    address = "data:image/jpeg;base64," + base64.b64encode(view.jpeg).decode("ascii")
    return HeatPicture(view.plane, view.position, view.marks, view.alt, address, *view.picture.size)
