"""From the voxels of a scan to the standard head: pose, size, a person's own shape, and what a mass displaces.

The standard head has the axes and the origin of MNI space: x to the right, y to the front, z up, mm; the cerebrum
reaches from about -104 to 72 along y and the top is near z = 79. Structures are described there once; every scan
looks them up through `head_coordinates`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.geometry import Affine
from training.synthetic.brain.person import Person
from training.synthetic.physique import stream
from training.synthetic.shapes import rotation
from training.synthetic.texture import smooth_field

CENTRE = np.array([0.0, -17.0, 4.0])  # of the brain
STRIPPED_MM = (168.0, 204.0, 180.0)  # field around a brain
WHOLE_MM = (188.0, 232.0, 220.0)  # field around a head
_WARP = ((3.2, 55.0), (1.1, 22.0))  # deviation and correlation of a person's own shape, mm


@dataclass(frozen=True)
class Push:
    """A place from which tissue is pushed away (or towards which it shrinks).

    Attributes:
        centre: in the standard head, mm.
        reach_mm: how far it is felt.
        strength: share of the distance at the centre; negative pulls.
    """

    centre: tuple[float, float, float]
    reach_mm: float
    strength: float


@dataclass(frozen=True, eq=False)
class HeadSpace:
    """Coordinates of every voxel in the standard head, each `(I, J, K)` float32 mm.

    Attributes:
        x, y, z: before the push: where lesions are put.
        sources: after it: where each voxel's tissue comes from.
        affine: places voxels in RAS+ mm.
        spacing: mm.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    sources: tuple[np.ndarray, np.ndarray, np.ndarray]
    affine: Affine
    spacing: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.x.shape


def head_space(
    person: Person, seed: int, spacing_mm: float, field_mm: tuple[float, float, float], push: Push | None = None
) -> HeadSpace:
    """Lay a grid around a person's head and find where each voxel lies in the standard head.

    Args:
        person: size, shape and pose.
        seed: of the person's own shape.
        spacing_mm: voxel size.
        field_mm: extent of the grid.
        push: what displaces tissue.
    """
    shape = tuple(round(extent / spacing_mm) for extent in field_mm)
    start = CENTRE - (np.array(shape) - 1) / 2 * spacing_mm
    matrix = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    matrix[:3, 3] = start
    turn = rotation(person.tilt_deg).T
    scale = 1 / (person.size * np.array([person.width, person.length, person.height]))
    grid = [
        (first + spacing_mm * np.arange(n) - middle - move).astype(np.float32)
        for first, n, middle, move in zip(start, shape, CENTRE, person.shift_mm, strict=True)
    ]
    spacing = (spacing_mm,) * 3
    out = []
    for axis in range(3):
        row = (turn[axis] * scale[axis]).astype(np.float32)
        along = row[0] * grid[0][:, None, None] + row[1] * grid[1][None, :, None] + row[2] * grid[2][None, None, :]
        along += np.float32(CENTRE[axis])
        for deviation, length in _WARP:
            rng = stream(seed, f"warp {axis} {length}")
            along += np.float32(deviation) * smooth_field(rng, shape, spacing, length)
        out.append(along)
    return HeadSpace(*out, _pushed(out, push), Affine(matrix), spacing)


def _pushed(points: list[np.ndarray], push: Push | None) -> tuple[np.ndarray, ...]:
    if push is None or not push.strength:
        return tuple(points)
    away = [axis - np.float32(centre) for axis, centre in zip(points, push.centre, strict=True)]
    near = np.exp(-sum(axis * axis for axis in away) / np.float32(push.reach_mm**2))
    near *= np.float32(push.strength)
    return tuple(point - near * axis for point, axis in zip(points, away, strict=True))
