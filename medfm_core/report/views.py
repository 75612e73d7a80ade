"""Views of a scan with the organs' outlines: axial, coronal and sagittal planes in the radiological convention."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from medfm_core.analysis import Analysis
from medfm_core.anatomy import load_vocabulary
from medfm_core.field_of_view import patient_axes
from medfm_core.report.levels import choose_levels, landmarks_at
from medfm_core.report.outlines import UNITS_PER_MM, Outline, outlines
from medfm_core.volume import Volume, reorient

WINDOW_LEVEL_HU, WINDOW_WIDTH_HU = 40, 400
_BODY_HU = -300
_MARGIN_MM = 8.0
_FINEST_MM, _COARSEST_MM = 0.65, 1.0
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class _Plane:
    """How a plane through a volume in LPS order is shown.

    Attributes:
        name: of the plane.
        across: array axis, and world axis, that the plane cuts.
        marks: letters at the left, right, top and bottom.
        count: how many planes of this kind are shown.
        apart_mm: least distance between two.
    """

    name: str
    across: int
    marks: tuple[str, str, str, str]
    count: int
    apart_mm: float


_PLANES = (
    _Plane("axial", 2, ("R", "L", "A", "P"), 6, 25.0),
    _Plane("coronal", 1, ("R", "L", "S", "I"), 2, 25.0),
    _Plane("sagittal", 0, ("A", "P", "S", "I"), 2, 35.0),
)


@dataclass(frozen=True)
class View:
    """One picture of the report.

    Attributes:
        plane: "axial", "coronal" or "sagittal".
        title: organs that it shows best.
        position: where it lies in the scanner's coordinates, such as "S 120 mm".
        width, height: size in tenths of a millimetre, the unit of the outlines.
        image: the grey image as a data address.
        outlines: per structure its border.
        marks: letters at the left, right, top and bottom.
        alt: what the picture shows, in words.
    """

    plane: str
    title: str
    position: str
    width: int
    height: int
    image: str
    outlines: tuple[Outline, ...]
    marks: tuple[str, str, str, str]
    alt: str


@dataclass(frozen=True, eq=False)
class _Scene:
    """What all views are cut from: image and labels in LPS order, and the box around the body."""

    image: Volume
    labels: Volume
    box: tuple[slice, slice, slice]


def make_views(analysis: Analysis) -> tuple[View, ...]:
    """Draw the planes that show the organs best; without organs, the middle planes.

    Args:
        analysis: with image, segmentation, statistics and measurements.

    Returns:
        Axial views from head to foot, then coronal, then sagittal.
    """
    image = reorient(analysis.image)
    scene = _Scene(image, reorient(analysis.segmentation.labels), _body_box(image))
    vocabulary = load_vocabulary()
    codes = analysis.image.affine.codes
    views = []
    for plane in _PLANES:
        axis = patient_axes(codes)[plane.across]
        profiles = _profiles(analysis, axis, is_flipped=codes[axis] in "RAI")
        step = image.spacing[plane.across]
        apart_mm = max(plane.apart_mm, image.shape[plane.across] * step / 9)
        chosen = choose_levels(profiles, step, plane.count, apart_mm)
        chosen = chosen or (image.shape[plane.across] // 2,)
        order = reversed(chosen) if plane.name == "axial" else chosen
        for index in order:
            groups = (vocabulary.by_name(name).group for name in landmarks_at(profiles, index))
            shown = dict.fromkeys(vocabulary.find_group(group).title for group in groups)
            views.append(_draw(plane, index, scene, ", ".join(list(shown)[:3])))
    return tuple(views)


def _profiles(analysis: Analysis, axis: int, is_flipped: bool) -> dict[str, np.ndarray]:
    table = analysis.statistics.profiles[axis]
    table = table[:, ::-1] if is_flipped else table
    return {m.name: table[m.id] for m in analysis.measurements if m.is_seen and not m.parts}


def _body_box(image: Volume) -> tuple[slice, slice, slice]:
    """The body with a margin, from a coarse copy; the whole volume along head-foot."""
    steps = [max(1, round(4 / s)) for s in image.spacing]
    coarse = image.voxels[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    box = []
    for axis in (0, 1):
        filled = coarse.sum(axis=tuple(a for a in range(3) if a != axis))
        where = np.flatnonzero(filled > 0.06 * filled.max()) if filled.any() else np.array([0, len(filled) - 1])
        margin = round(_MARGIN_MM / image.spacing[axis])
        start, stop = int(where[0]) * steps[axis] - margin, (int(where[-1]) + 1) * steps[axis] + margin
        box.append(slice(max(0, start), min(image.shape[axis], stop)))
    return (*box, slice(0, image.shape[2]))


def _draw(plane: _Plane, index: int, scene: _Scene, title: str) -> View:
    rows, columns = {2: (1, 0), 1: (2, 0), 0: (2, 1)}[plane.across]
    pixel_mm = (scene.image.spacing[rows], scene.image.spacing[columns])
    grey, names = (_cut(volume, plane.across, index, scene.box) for volume in (scene.image, scene.labels))
    height, width = (round(n * mm * UNITS_PER_MM) for n, mm in zip(grey.shape, pixel_mm, strict=True))
    centre = (np.array(scene.image.shape) - 1) / 2
    centre[plane.across] = index
    place_mm = float(scene.image.affine.to_world(centre)[plane.across])
    position = f"{('RL', 'AP', 'SI')[plane.across][int(place_mm < 0)]} {abs(place_mm):.0f} mm"
    return View(
        plane=plane.name,
        title=title,
        position=position,
        width=width,
        height=height,
        image=_jpeg(grey, pixel_mm),
        outlines=outlines(names, pixel_mm),
        marks=plane.marks,
        alt=f"{plane.name.capitalize()} CT plane at {position} with outlined organs{': ' if title else ''}{title}",
    )


def _cut(volume: Volume, across: int, index: int, box: tuple[slice, slice, slice]) -> np.ndarray:
    """A plane as rows from the top of the picture: anterior or superior first."""
    place = list(box)
    place[across] = index
    plane = volume.voxels[tuple(place)].T
    return np.ascontiguousarray(plane if across == 2 else plane[::-1])


def _jpeg(plane: np.ndarray, pixel_mm: tuple[float, float]) -> str:
    """Window, bring to square pixels, and encode."""
    low = WINDOW_LEVEL_HU - WINDOW_WIDTH_HU / 2
    values = np.nan_to_num(plane.astype(np.float32), nan=-1024.0)
    grey = np.clip((values - low) * (255 / WINDOW_WIDTH_HU), 0, 255).astype(np.uint8)
    pixel = min(max(min(pixel_mm), _FINEST_MM), _COARSEST_MM)
    size = tuple(max(1, round(n * mm / pixel)) for n, mm in zip(plane.shape, pixel_mm, strict=True))
    picture = Image.fromarray(grey).resize(size[::-1], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
