"""The procedural brain's surfaces and cortex, in the standard head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.brain.folds import fold_distance
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.parts import Part
from training.synthetic.brain.person import Person
from training.synthetic.brain.space import HeadSpace
from training.synthetic.physique import stream
from training.synthetic.shapes import capsule, ellipsoid, smooth_min
from training.synthetic.texture import smooth_field

_MIDDLE, _SEMI = (0.0, -17.0, 19.0), (67.0, 88.0, 61.0)
_FLOOR_SOFT = 8.0


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Signed distances, negative inside, mm, `(I, J, K)` float32.

    Attributes:
        x, y, z: the standard head.
        side: distance from the middle plane, `abs(x)`.
        cerebrum: the outer surface without folds.
        cerebellum, brainstem: alike.
        cavity: the inner surface of the skull.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    side: np.ndarray
    cerebrum: np.ndarray
    cerebellum: np.ndarray
    brainstem: np.ndarray
    cavity: np.ndarray


def brain_surfaces(space: HeadSpace, person: Person) -> Surfaces:
    """Find the smooth outer surfaces of a person's brain."""
    x, y, z = space.sources
    side = np.abs(x)
    cerebellum = smooth_min(
        ellipsoid(side, y, z, (23, -63, -36), (27, 29, 21)), ellipsoid(side, y, z, (0, -66, -31), (11, 24, 22)), 8
    )
    brainstem = smooth_min(
        ellipsoid(side, y, z, (0, -25, -33), (17, 13, 14)),
        np.minimum(
            capsule(side, y, z, (7, -21, -6), (6, -27, -20), 8, 9),
            capsule(side, y, z, (0, -31, -42), (0, -41, -92), 9.5, 6.5),
        ),
        6,
    )
    cerebrum = _cerebrum(side, y, z, cerebellum, brainstem)
    whole = smooth_min(smooth_min(cerebrum, cerebellum, 25), brainstem, 12)
    cavity = whole - np.float32(2.2)
    shrink = np.float32(2.6 * person.atrophy)
    return Surfaces(x, y, z, side, cerebrum + shrink, cerebellum + np.float32(1.2 * person.atrophy), brainstem, cavity)


def _cerebrum(side, y, z, cerebellum, brainstem):
    """Both hemispheres: an ellipsoid with flat floors before and behind, and the temporal lobes."""
    main = ellipsoid(side, y, z, _MIDDLE, _SEMI)
    front = np.float32(-24) + np.float32(0.18) * np.abs(y - 30) - z + np.float32(0.05) * side
    behind = np.float32(-22) - z + np.float32(0.30) * np.maximum(32 - side, 0)
    floor = np.where(y > 0, front, behind)
    main = -smooth_min(-main, -floor, _FLOOR_SOFT)
    temporal = smooth_min(
        ellipsoid(side, y, z, (45, -8, -21), (20.5, 34, 21)), ellipsoid(side, y, z, (48, -40, -8), (19, 34, 18)), 10
    )
    medial = ellipsoid(side, y, z, (25, -16, -20), (10, 24, 9))
    whole = smooth_min(smooth_min(main, temporal, 3), medial, 6)
    hole = np.minimum(smooth_min(cerebellum, brainstem, 6) - np.float32(2.0), _basal_cisterns(side, y, z))
    return np.maximum(whole, -hole)


def _basal_cisterns(side, y, z):
    """Fluid under the middle of the brain: around the chiasm, before and behind the midbrain."""
    chiasm = ellipsoid(side, y, z, (0, -2, -21), (13, 12, 10))
    around = ellipsoid(side, y, z, (0, -24, -13), (20, 16, 9))
    behind = ellipsoid(side, y, z, (0, -42, -2), (8, 4.5, 6))
    return np.minimum(np.minimum(chiasm, around), behind)


def paint_cerebrum(tissue: Fractions, surfaces: Surfaces, space: HeadSpace, person: Person, seed: int) -> None:
    """Paint fluid, cortex and white matter of both hemispheres."""
    thickness = person.cortex_mm * (1 - 0.18 * person.atrophy)
    pial = cortex_surface(surfaces, space, person, seed)
    tissue.paint(Part.CSF, surfaces.cavity)
    tissue.paint(Part.CORTEX, pial)
    uneven = np.float32(0.25) * smooth_field(stream(seed, "cortex"), space.shape, space.spacing, 14.0)
    tissue.paint(Part.WHITE, pial + np.float32(thickness) + uneven)


def cortex_surface(surfaces: Surfaces, space: HeadSpace, person: Person, seed: int) -> np.ndarray:
    """Signed distance to the surface with its folds, mm, `(I, J, K)`."""
    s = surfaces
    width = np.float32(person.sulcus_mm + 2.6 * person.atrophy)
    outer = np.maximum(s.cerebrum, -_fissures(s, width))
    points = tuple(
        (axis - np.float32(middle)) / np.float32(semi)
        for axis, middle, semi in zip((s.x, s.y, s.z), _MIDDLE, _SEMI, strict=True)
    )
    folds = fold_distance(stream(seed, "folds"), points, space.spacing, person.gyrus_mm)
    depth = np.float32(11.5) + np.float32(4) * smooth_field(stream(seed, "depth"), space.shape, space.spacing, 20.0)
    widening = width * (1 + np.float32(0.35) * smooth_field(stream(seed, "width"), space.shape, space.spacing, 25.0))
    taper = np.clip(1 - 0.35 * (-outer) / np.maximum(depth, 4), 0.4, 1)  # sulci are widest at the surface
    sheet = np.maximum(folds - 0.5 * widening * taper, -outer - np.maximum(depth, 3))
    sheet = np.maximum(sheet, -_core(s))
    return np.maximum(outer, -sheet)


def _fissures(s: Surfaces, width: np.float32) -> np.ndarray:
    """Between the hemispheres, and between the temporal lobe and the rest (Sylvian, with the insula at its end)."""
    arch = ellipsoid(s.side, s.y, s.z, (0, -6, -2), (60, 43, 31))  # corpus callosum and what lies under it
    between = np.maximum(s.side - (np.float32(0.5) + 0.5 * width), -arch)
    slope = np.float32(-8) - np.float32(0.42) * (s.y - 12)
    lateral = np.maximum(np.abs(s.z - slope) * np.float32(0.92) - (np.float32(0.3) + 0.5 * width), 40 - s.side)
    lateral = np.maximum(lateral, np.maximum(-46 - s.y, s.y - 40))
    insula = np.maximum(np.abs(s.side - 40 - 0.0035 * (s.y + 5) ** 2) - (np.float32(0.4) + 0.5 * width), 0)
    insula = np.maximum(insula, ellipsoid(s.side, s.y, s.z, (40, -3, 2), (30, 25, 15)))
    return np.minimum(np.minimum(between, lateral), insula)


def _core(s: Surfaces) -> np.ndarray:
    """Where no fold reaches: around nuclei and ventricles."""
    return ellipsoid(s.side, s.y, s.z, (0, -14, 4), (36, 50, 25))
