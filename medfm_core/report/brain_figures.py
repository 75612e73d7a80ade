"""Three planes of a brain: plain, under a saliency map, under a routing map, or with a template's outline."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from contourpy import LineType, contour_generator
from PIL import Image, ImageDraw

from medfm_core.errors import InputError
from medfm_core.report.heat import heat_range, heat_rgba
from medfm_core.volume import Volume, crop, foreground_box, reorient

_PLANES = (("axial", 2, ("R", "L", "A", "P")), ("coronal", 1, ("R", "L", "S", "I")), ("sagittal", 0, "APSI"))
_PIXEL_MM = 0.8
_MARGIN_MM = 6.0
_QUALITY = 84
_BACKGROUND = 0.03  # of the way from the lowest to the 99.5th percentile, as in brain_doubts
_HEAT_FROM = 0.6  # share of the map's positive values that stay without colour
_ROUTING_OPACITY = 0.55
_OUTLINE = (255, 196, 61)

Paint = Callable[[Image.Image, int, int], None]  # onto an RGBA picture: axis that is cut, and index


@dataclass(frozen=True)
class BrainPicture:
    """One plane: its data address, size in pixels, and words."""

    plane: str
    position: str
    marks: tuple[str, ...]
    alt: str
    image: str
    width: int
    height: int


class BrainCanvas:
    """The planes through the middle of a brain, in the radiological convention.

    Args:
        image: a brain MRI.
    """

    def __init__(self, image: Volume) -> None:
        turned = reorient(image)
        values = np.nan_to_num(turned.voxels.astype(np.float32))
        low, high = float(values.min()), float(np.percentile(values, 99.5))
        tissue = values > low + _BACKGROUND * max(high - low, 0.0)
        box = foreground_box(tissue) or ((0, 0, 0), turned.shape)
        margin = [round(_MARGIN_MM / mm) for mm in turned.spacing]
        self._start = [max(0, a - m) for a, m in zip(box[0], margin, strict=True)]
        self._stop = [min(n, b + m) for b, m, n in zip(box[1], margin, turned.shape, strict=True)]
        self._image, self._grid = crop(turned, self._start, self._stop), image.grid
        self._tissue = tissue[tuple(slice(a, b) for a, b in zip(self._start, self._stop, strict=True))]
        self._window = (low, max(high, low + 1e-6))
        self._middle = [(a + b) // 2 - s for a, b, s in zip(box[0], box[1], self._start, strict=True)]

    def plain(self) -> tuple[BrainPicture, ...]:
        """The scan alone."""
        return self._draw("", None)

    def heat(self, heat: Volume) -> tuple[BrainPicture, ...]:
        """The scan under a map in warm colours.

        Args:
            heat: on the scan's grid, at least 0.

        Raises:
            InputError: it lies on another grid.
        """
        values = self._fitted(heat).astype(np.float32) * self._tissue
        scale = heat_range(values, _HEAT_FROM)

        def paint(picture: Image.Image, across: int, index: int) -> None:
            plane = Image.fromarray(np.ascontiguousarray(_cut(values, across, index)))
            warm = np.asarray(plane.resize(picture.size, Image.Resampling.BILINEAR))
            picture.alpha_composite(Image.fromarray(heat_rgba(warm, *scale)))

        return self._draw(" with saliency in warm colours", paint)

    def labels(self, labels: Volume, colours: Sequence[tuple[int, int, int]], what: str) -> tuple[BrainPicture, ...]:
        """The scan under a map of labels, drawn only where the scan shows something.

        Args:
            labels: on the scan's grid; label n gets the n-th colour, 0 none.
            colours: red, green, blue.
            what: the map in words.

        Raises:
            InputError: it lies on another grid.
        """
        table = np.array([(0, 0, 0, 0), *((*colour, round(255 * _ROUTING_OPACITY)) for colour in colours)], np.uint8)
        values = self._fitted(labels) * self._tissue

        def paint(picture: Image.Image, across: int, index: int) -> None:
            plane = table[_cut(values, across, index)]
            picture.alpha_composite(Image.fromarray(plane).resize(picture.size, Image.Resampling.NEAREST))

        return self._draw(f" with {what}", paint)

    def outlined(self, template: Volume) -> tuple[BrainPicture, ...]:
        """The scan with the outline of a template's brain.

        Args:
            template: on the scan's grid.

        Raises:
            InputError: it lies on another grid.
        """
        inside = (self._fitted(template) > 0.1 * float(np.percentile(template.voxels, 99.5))).astype(np.float32)

        def paint(picture: Image.Image, across: int, index: int) -> None:
            _outline(picture, _cut(inside, across, index))

        return self._draw(" with the template's outline", paint)

    def _fitted(self, other: Volume) -> np.ndarray:
        if not other.grid.same_as(self._grid):
            raise InputError("a map does not lie on the scan's grid", "bring it there first")
        return crop(reorient(other), self._start, self._stop).voxels

    def _draw(self, what: str, paint: Paint | None) -> tuple[BrainPicture, ...]:
        return tuple(self._plane(name, across, tuple(marks), what, paint) for name, across, marks in _PLANES)

    def _plane(self, name: str, across: int, marks: tuple[str, ...], what: str, paint: Paint | None) -> BrainPicture:
        index = self._middle[across]
        plane = np.nan_to_num(_cut(self._image.voxels, across, index).astype(np.float32))
        low, high = self._window
        grey = np.clip((plane - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        rows, columns = {2: (1, 0), 1: (2, 0), 0: (2, 1)}[across]
        spacing = self._image.spacing
        size = (max(1, round(grey.shape[1] * spacing[columns] / _PIXEL_MM)),
                max(1, round(grey.shape[0] * spacing[rows] / _PIXEL_MM)))  # fmt: skip
        picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGBA")
        if paint is not None:
            paint(picture, across, index)
        centre = np.array(self._middle, dtype=float)
        place_mm = float(self._image.affine.to_world(centre)[across])
        position = f"{('RL', 'AP', 'SI')[across][int(place_mm < 0)]} {abs(place_mm):.0f} mm"
        alt = f"{name.capitalize()} plane at {position}{what}"
        return BrainPicture(name, position, marks, alt, _address(picture), *picture.size)


def registration_figure(image: Volume, template: Volume) -> bytes:
    """A registered scan with its template's outline, three planes side by side, as a PNG.

    Args:
        image: on the template's grid.
        template: a stripped brain.

    Raises:
        InputError: they lie on different grids.
    """
    canvas = BrainCanvas(image)
    parts = [_opened(picture) for picture in canvas.outlined(template)]
    gap = 6
    whole = Image.new("RGB", (sum(p.width for p in parts) + gap * (len(parts) - 1), max(p.height for p in parts)))
    left = 0
    for part in parts:
        whole.paste(part, (left, (whole.height - part.height) // 2))
        left += part.width + gap
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _cut(voxels: np.ndarray, across: int, index: int) -> np.ndarray:
    """A plane as rows from the top of the picture: anterior or superior first."""
    plane = voxels[(slice(None),) * across + (index,)].T
    return plane if across == 2 else plane[::-1]


def _outline(picture: Image.Image, mask: np.ndarray) -> None:
    padded = np.pad(mask, 1)
    pen = ImageDraw.Draw(picture)
    scale = np.array([picture.width / mask.shape[1], picture.height / mask.shape[0]])
    for line in contour_generator(z=padded, line_type=LineType.Separate).lines(0.5):
        pen.line([tuple(point) for point in ((line - 0.5) * scale).tolist()], fill=_OUTLINE, width=1)


def _address(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _opened(picture: BrainPicture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.image.partition(",")[2])))
