"""The procedural head around the brain, and all of it together."""

from __future__ import annotations

import numpy as np

from training.synthetic.brain.cerebrum import Surfaces, brain_surfaces, paint_cerebrum
from training.synthetic.brain.depth import paint_hindbrain, paint_nuclei, paint_ventricles
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.parts import Part
from training.synthetic.brain.person import Person
from training.synthetic.brain.space import HeadSpace
from training.synthetic.physique import stream
from training.synthetic.shapes import capsule, ellipsoid, smooth_min
from training.synthetic.texture import smooth_field


def procedural_head(space: HeadSpace, person: Person, seed: int, whole: bool) -> Fractions:
    """Make a head out of formulas alone.

    Args:
        space: where the voxels lie.
        person: size, age and thicknesses.
        seed: of the folds and all that is drawn.
        whole: with skull, scalp, face and neck; otherwise the brain and the fluid around it.
    """
    tissue = Fractions(space.shape, min(space.spacing))
    surfaces = brain_surfaces(space, person)
    if whole:
        _paint_outside(tissue, surfaces, space, person, seed)
    paint_cerebrum(tissue, surfaces, space, person, seed)
    paint_hindbrain(tissue, surfaces, space, person, seed)
    paint_nuclei(tissue, surfaces, person)
    paint_ventricles(tissue, surfaces, person)
    return tissue


def _paint_outside(tissue: Fractions, s: Surfaces, space: HeadSpace, person: Person, seed: int) -> None:
    """Skin, fat, muscle, skull, eyes, nose and its sinuses."""
    uneven = smooth_field(stream(seed, "skull"), space.shape, space.spacing, 30.0)
    bone = np.float32(person.skull_mm) + np.float32(0.8) * uneven
    vault = s.cavity - bone
    face = ellipsoid(s.side, s.y, s.z, (0, 34, -62), (60, 56, 72))
    neck = capsule(s.side, s.y, s.z, (0, -42, -70), (0, -50, -170), 56, 54)
    nose = capsule(s.side, s.y, s.z, (0, 86, -36), (0, 104, -62), 7, 11)
    head = smooth_min(smooth_min(vault - np.float32(person.scalp_mm), face, 18), neck, 25)
    head = smooth_min(head, nose, 8)
    tissue.paint(Part.SKIN, head)
    tissue.paint(Part.FAT, head + np.float32(1.8))
    tissue.paint(Part.MUSCLE, np.maximum(head + np.float32(0.55 * person.scalp_mm + 2.5), s.z + 8 - 0.5 * np.abs(s.y)))
    tissue.paint(Part.BONE, np.maximum(vault, -s.z - 66))
    marrow = np.abs(s.cavity - 0.5 * bone) - 0.18 * bone
    tissue.paint(Part.MARROW, np.maximum(marrow, -s.z - 50))
    _paint_face(tissue, s)


def _paint_face(tissue: Fractions, s: Surfaces) -> None:
    """Orbits with eyes, nose, sinuses, throat, jaw."""
    orbit = ellipsoid(s.side, s.y, s.z, (32, 54, -36), (17, 24, 16))
    tissue.paint(Part.FAT, orbit)
    tissue.paint(Part.MUSCLE, capsule(s.side, s.y, s.z, (22, 34, -33), (30, 54, -36), 3, 3))
    tissue.paint(Part.EYE, ellipsoid(s.side, s.y, s.z, (32, 64, -36), (12, 12, 12)))
    for part, grow in ((Part.MUCOSA, 2.0), (Part.AIR, 0.0)):
        sinuses = np.minimum(
            np.minimum(
                ellipsoid(s.side, s.y, s.z, (28, 52, -64), (13, 15, 15)),
                ellipsoid(s.side, s.y, s.z, (8, 60, -56), (6, 30, 16)),
            ),
            np.minimum(
                ellipsoid(s.side, s.y, s.z, (7, 22, -32), (8, 12, 8)),
                ellipsoid(s.side, s.y, s.z, (9, 78, -10), (11, 6, 9)),
            ),
        )
        throat = capsule(s.side, s.y, s.z, (0, 12, -62), (0, -2, -120), 7, 8)
        mastoid = ellipsoid(s.side, s.y, s.z, (58, -34, -48), (8, 9, 11))
        tissue.paint(part, np.minimum(np.minimum(sinuses, throat), mastoid) - np.float32(grow))
    jaw = np.minimum(
        capsule(s.side, s.y, s.z, (46, 12, -80), (10, 66, -108), 5, 7),
        capsule(s.side, s.y, s.z, (50, 4, -46), (46, 12, -80), 5, 5),
    )
    tissue.paint(Part.BONE, np.minimum(jaw, capsule(s.side, s.y, s.z, (36, 66, -52), (58, 30, -46), 4, 4)))
