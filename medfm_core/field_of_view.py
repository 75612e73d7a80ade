"""The borders of a scan: which way its faces look, and the circle outside which a CT scanner reconstructs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from medfm_core.volume import Volume

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
FACE_NAMES = {"S": "top", "I": "bottom", "R": "right side", "L": "left side", "A": "front", "P": "back"}
_SAMPLED_SLICES = 9
_LEAST_PADDED_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Circle:
    """The reconstructed field of view of a CT: a disk in the plane across `axis`, padding outside it.

    Attributes:
        axis: array axis along which the patient lies (the slices are stacked along it).
        distance: distance of each in-plane pixel from the disk's border in pixels, positive outside, `(rows, columns)`
            float32, in the order of the two other axes.
        padding: the value that fills the outside.
    """

    RIM: ClassVar[float] = 2.0  # pixels inwards of the border that count as on it

    axis: int
    distance: np.ndarray
    padding: float

    def rim(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels on the border, or as far outside as the border may be off, as two index arrays `(n,)`."""
        return np.nonzero(np.abs(self.distance) < self.RIM)


def patient_axes(codes: str) -> tuple[int, int, int]:
    """Array axes that run left-right, front-back and head-foot, from axis codes such as "LPS"."""
    return tuple(next(i for i, code in enumerate(codes) if code in pair) for pair in ("LR", "AP", "SI"))


def face_codes(codes: str, axis: int) -> tuple[str, str]:
    """Where the first and the last slice along an axis look: ("R", "L") for an axis that grows towards the left."""
    return _OPPOSITE[codes[axis]], codes[axis]


def find_circle(volume: Volume) -> Circle | None:
    """Find the disk that the scanner reconstructed, from the constant padding around it.

    Clipped air (-1024 everywhere outside the patient) is not taken for padding: the padded region must have a circular
    inner border. The disk's centre is the centre of the plane, as scanners make it.

    Args:
        volume: an image; its slices are those across the head-foot axis.

    Returns:
        The circle, or None where the scan has no such padding (or the image was cropped away from its centre).
    """
    axis = patient_axes(volume.affine.codes)[2]
    count = volume.shape[axis]
    picks = np.unique(np.linspace(0, count - 1, min(_SAMPLED_SLICES, count)).astype(int))
    planes = np.moveaxis(volume.voxels, axis, 0)
    padding = planes[0, 0, 0]
    padded = np.ones(planes.shape[1:], dtype=bool)
    for index in picks:
        plane = planes[index]
        if not (plane[[0, 0, -1, -1], [0, -1, 0, -1]] == padding).all():
            return None
        padded &= plane == padding
    if padded.mean() < _LEAST_PADDED_SHARE or padded.all():
        return None
    step = [s for i, s in enumerate(volume.spacing) if i != axis]
    rows, columns = padded.shape
    y = (np.arange(rows) - (rows - 1) / 2)[:, None] * step[0]
    x = (np.arange(columns) - (columns - 1) / 2)[None, :] * step[1]
    radii = (np.hypot(y, x) / min(step)).astype(np.float32)
    radius = float(np.percentile(radii[padded], 1))
    outside, inside = radii > radius + 2, radii < radius - 2
    if not outside.any() or padded[outside].mean() < 0.98 or padded[inside].mean() > 0.01:
        return None
    return Circle(axis, radii - np.float32(radius), float(padding))
