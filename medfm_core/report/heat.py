"""Saliency over the scan: a warm colour where it is high, three planes through its centre, the organ's outline."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from contourpy import LineType, contour_generator
from PIL import Image, ImageDraw

from medfm_core.errors import InputError
from medfm_core.volume import Volume, crop, foreground_box, reorient

_PLANES = (("axial", 2, "RLAP"), ("coronal", 1, "RLSI"), ("sagittal", 0, "APSI"))  # name, axis cut in LPS, marks
_MARGIN_MM = 15.0
_JPEG_QUALITY = 82
_SAMPLED = 1 << 18  # values that a quantile is taken of
_OUTLINE = (92, 214, 255)  # on grey as far from the warm colours as can be
# Share of the way to the full colour, then red, green, blue: even the first is no black, which would hide the scan.
_RAMP = np.array([(0.0, 140, 26, 60), (0.3, 216, 68, 42), (0.6, 245, 154, 28), (1.0, 253, 240, 166)])


@dataclass(frozen=True)
class HeatStyle:
    """How a map is drawn.

    Attributes:
        quantile: share of the map's positive voxels that stay without colour; in `[0, 1)`.
        opacity: of the highest value, in `(0, 1]`; it falls to 0 at the quantile.
        level_hu, width_hu: window of the scan below.
        pixel_mm: side of the pictures' square pixels.
    """

    quantile: float = 0.8
    opacity: float = 0.75
    level_hu: float = 40.0
    width_hu: float = 400.0
    pixel_mm: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.quantile < 1 and 0 < self.opacity <= 1 and self.width_hu > 0 and self.pixel_mm > 0):
            raise ValueError("quantile must lie in [0, 1), opacity in (0, 1], width_hu and pixel_mm be above 0")


@dataclass(frozen=True)
class HeatView:
    """One plane with the map over it.

    Attributes:
        plane: "axial", "coronal" or "sagittal".
        position: where it lies in the scanner's coordinates, such as "S 120 mm".
        picture: RGB, square pixels, in the radiological convention.
        marks: letters at the left, right, top and bottom.
        alt: what the picture shows, in words.
    """

    plane: str
    position: str
    picture: Image.Image
    marks: tuple[str, str, str, str]
    alt: str

    @property
    def png(self) -> bytes:
        """The picture as a PNG file, without loss."""
        return _encoded(self.picture, "PNG", optimize=True)

    @property
    def jpeg(self) -> bytes:
        """The picture as a JPEG file: a tenth of the size, and quicker."""
        return _encoded(self.picture, "JPEG", quality=_JPEG_QUALITY, subsampling=0)


class _Scene(NamedTuple):
    """What the views are cut from: all in LPS order and cropped to the map's surroundings."""

    image: Volume
    saliency: Volume
    organ: Volume | None


def heat_range(saliency: np.ndarray, quantile: float) -> tuple[float, float]:
    """Find where colour begins and where it is full.

    Args:
        saliency: the whole map, any shape, at least 0, so that all planes of it share one scale.
        quantile: share of the positive values below the first colour.

    Returns:
        (first colour, full colour); (0, 0) for a map without positive values.
    """
    positive = saliency[saliency > 0]
    if not positive.size:
        return 0.0, 0.0
    sample = positive[:: 1 + positive.size // _SAMPLED]
    return float(np.quantile(sample, quantile)), float(positive.max())


def heat_rgba(plane: np.ndarray, low: float, high: float, opacity: float = 0.75) -> np.ndarray:
    """Colour a plane of a map, from dark red over orange to pale yellow; the lightness rises all the way.

    Args:
        plane: `(rows, columns)`, at least 0.
        low: value without colour; all below has none either.
        high: value of full colour and opacity.
        opacity: of `high`, in `(0, 1]`; between it grows with the root, so that the rim of a focus is seen.

    Returns:
        `(rows, columns, 4)` uint8: red, green, blue, opacity.
    """
    share = np.clip((plane.astype(np.float32) - low) / max(high - low, 1e-30), 0, 1)
    channels = [np.interp(share, _RAMP[:, 0], _RAMP[:, channel]) for channel in (1, 2, 3)]
    return np.rint(np.stack([*channels, 255 * opacity * np.sqrt(share)], axis=-1)).astype(np.uint8)


def draw_heat(
    image: Volume, saliency: Volume, organ: Volume | None = None, style: HeatStyle | None = None
) -> tuple[HeatView, ...]:
    """Draw the axial, coronal and sagittal planes through the centre of what is salient.

    The centre is the centre of mass of the squared excess over the style's quantile, so that a focus outweighs faint
    values all over the crop; where foci on both sides leave it empty, each plane moves to the nearest that holds some.
    The pictures show the map's surroundings, not the whole scan.

    Args:
        image: the scan, HU.
        saliency: on the scan's grid, at least 0, 0 outside its crop.
        organ: labels on the scan's grid, nonzero in the organ; None for no outline.
        style: how to draw.

    Returns:
        Three views; none where the map is 0 everywhere.

    Raises:
        InputError: the grids differ, or the map is negative or not finite.
    """
    style = style or HeatStyle()
    for other in (saliency, organ):
        if other is not None and not other.grid.same_as(image.grid):
            raise InputError("the map or the organ does not lie on the scan's grid", "bring it there first")
    image, saliency = reorient(image), reorient(saliency)
    box = foreground_box(saliency.voxels)
    if box is None:
        return ()
    margin = [round(_MARGIN_MM / step) for step in image.spacing]
    start = [max(0, a - m) for a, m in zip(box[0], margin, strict=True)]
    stop = [min(n, b + m) for b, m, n in zip(box[1], margin, image.shape, strict=True)]
    image, saliency = crop(image, start, stop), crop(saliency, start, stop)
    organ = None if organ is None else crop(reorient(organ), start, stop)
    scene = _Scene(image, saliency, organ)
    if not np.isfinite(saliency.voxels).all() or saliency.voxels.min() < 0:
        raise InputError("the map holds negative or infinite values")
    scale = heat_range(saliency.voxels, style.quantile)
    excess = np.maximum(saliency.voxels - np.float32(scale[0]), 0) ** 2
    centre = _centre(excess if excess.any() else saliency.voxels)
    return tuple(_draw(plane, centre, scene, scale, style) for plane in _PLANES)


def _centre(energy: np.ndarray) -> tuple[int, ...]:
    """Index of the centre of mass; each axis on its own moves on to the nearest plane that is not empty."""
    found = []
    seen_from_above = energy.sum(axis=2, dtype=np.float64)
    profiles = seen_from_above.sum(axis=1), seen_from_above.sum(axis=0), energy.sum(axis=(0, 1), dtype=np.float64)
    for profile in profiles:
        middle = float(profile @ np.arange(len(profile)) / profile.sum())
        filled = np.flatnonzero(profile)
        found.append(int(filled[np.abs(filled - middle).argmin()]))
    return tuple(found)


def _draw(
    plane: tuple[str, int, str], centre: tuple[int, ...], scene: _Scene, scale: tuple[float, float], style: HeatStyle
) -> HeatView:
    name, across, marks = plane
    place_mm = float(scene.image.affine.to_world(np.array(centre, dtype=float))[across])
    position = f"{('RL', 'AP', 'SI')[across][int(place_mm < 0)]} {abs(place_mm):.0f} mm"
    picture = _grey(scene.image, across, centre[across], style)
    heat = _cut(scene.saliency, across, centre[across]).astype(np.float32)
    warm = np.asarray(Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR))
    picture.alpha_composite(Image.fromarray(heat_rgba(warm, *scale, style.opacity)))
    alt = f"{name.capitalize()} CT plane at {position} with saliency in warm colours"
    if scene.organ is not None:
        _outline(picture, _cut(scene.organ, across, centre[across]) != 0)
        alt += " and the organ outlined"
    return HeatView(name, position, picture.convert("RGB"), tuple(marks), alt)


def _grey(image: Volume, across: int, index: int, style: HeatStyle) -> Image.Image:
    """A plane of the scan in its window, on square pixels."""
    plane = np.nan_to_num(_cut(image, across, index).astype(np.float32), nan=-1024.0)
    rows, columns = {2: (1, 0), 1: (2, 0), 0: (2, 1)}[across]
    sides_mm = plane.shape[1] * image.spacing[columns], plane.shape[0] * image.spacing[rows]
    low = style.level_hu - style.width_hu / 2
    levels = np.clip((plane - low) * (255 / style.width_hu), 0, 255).astype(np.uint8)
    size = tuple(max(1, round(side / style.pixel_mm)) for side in sides_mm)
    return Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC).convert("RGBA")


def _cut(volume: Volume, across: int, index: int) -> np.ndarray:
    """A plane as rows from the top of the picture: anterior or superior first."""
    plane = volume.voxels[(slice(None),) * across + (index,)].T
    return plane if across == 2 else plane[::-1]


def _outline(picture: Image.Image, mask: np.ndarray) -> None:
    padded = np.pad(mask.astype(np.float32), 1)
    pen = ImageDraw.Draw(picture)
    scale = np.array([picture.width / mask.shape[1], picture.height / mask.shape[0]])
    for line in contour_generator(z=padded, line_type=LineType.Separate).lines(0.5):
        pen.line([tuple(point) for point in ((line - 0.5) * scale).tolist()], fill=_OUTLINE, width=1)


def _encoded(picture: Image.Image, name: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, name, **settings)
    return buffer.getvalue()
