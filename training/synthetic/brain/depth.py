"""The procedural brain's depth: ventricles, nuclei, hippocampus, brainstem and cerebellum, in the standard head."""

from __future__ import annotations

import numpy as np

from training.synthetic.brain.cerebrum import Surfaces
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.parts import Part
from training.synthetic.brain.person import Person
from training.synthetic.brain.space import HeadSpace
from training.synthetic.physique import stream
from training.synthetic.shapes import capsule, ellipsoid, frame, smooth_min
from training.synthetic.texture import smooth_field

_LATERAL = (  # from point to point with radii, mm: frontal horn, body, atrium, temporal and occipital horn
    ((9, 33, 0), (9, 16, 13), 3.6, 4.0),
    ((9, 16, 13), (11, -14, 22), 4.0, 3.6),
    ((11, -14, 22), (22, -38, 16), 3.6, 5.2),
    ((22, -38, 16), (25, -46, 9), 5.2, 5.0),
    ((25, -46, 9), (33, -30, -10), 4.2, 2.2),
    ((33, -30, -10), (32, -12, -18), 2.0, 1.7),
    ((25, -46, 9), (23, -68, 5), 4.4, 1.4),
)


def paint_nuclei(tissue: Fractions, s: Surfaces, person: Person) -> None:
    """Thalamus, caudate, putamen, pallidum, hippocampus and amygdala."""
    tilted = frame((0.55, -0.84, 0.1))
    tissue.paint(Part.THALAMUS, ellipsoid(s.side, s.y, s.z, (11.5, -19, 7), (15, 8.5, 8.5), tilted))
    tail = np.minimum(
        capsule(s.side, s.y, s.z, (14, 16, 8), (18, -4, 20), 4.6, 2.6),
        capsule(s.side, s.y, s.z, (18, -4, 20), (27, -32, 19), 2.6, 1.4),
    )
    head = ellipsoid(s.side, s.y, s.z, (13, 15, 4), (5.6, 9.5, 8))
    tissue.paint(Part.CAUDATE, smooth_min(head, tail, 4))
    turned = frame((-0.28, 0.96, 0.0))
    putamen = ellipsoid(s.side, s.y, s.z, (27, 1, 1), (17, 9.5, 5.2), turned)
    tissue.paint(Part.PUTAMEN, putamen)
    tissue.paint(Part.PALLIDUM, ellipsoid(s.side, s.y, s.z, (19.5, -4, -1), (9.5, 6.5, 4.4), turned))
    loss = np.float32(1.6 * person.atrophy)
    hippocampus = np.minimum(
        capsule(s.side, s.y, s.z, (26, -12, -19), (28, -24, -13), 6.0, 4.8),
        capsule(s.side, s.y, s.z, (28, -24, -13), (25, -36, -4), 4.8, 3.2),
    )
    tissue.paint(Part.HIPPOCAMPUS, hippocampus + loss)
    tissue.paint(Part.AMYGDALA, ellipsoid(s.side, s.y, s.z, (23, -4, -19), (7, 7, 7.5)) + 0.5 * loss)


def paint_ventricles(tissue: Fractions, s: Surfaces, person: Person) -> None:
    """The four ventricles and the choroid plexus."""
    grow = person.ventricles * (1 + 1.15 * person.atrophy)
    lateral = None
    for start, stop, first, last in _LATERAL:
        part = capsule(s.side, s.y, s.z, start, stop, first * grow, last * grow)
        lateral = part if lateral is None else smooth_min(lateral, part, 3)
    lateral = np.maximum(lateral, np.float32(1.1) - s.side)  # the septum stays
    tissue.paint(Part.LATERAL_VENTRICLE, lateral)
    plexus = capsule(s.side, s.y, s.z, (20, -36, 14), (26, -42, 4), 1.6, 2.2)
    tissue.paint(Part.CHOROID, np.maximum(plexus, lateral + 1))
    third = ellipsoid(s.side, s.y, s.z, (0, -13, -1), (1.5 + 1.9 * (grow - 0.8), 14, 10))
    tissue.paint(Part.THIRD_VENTRICLE, third)
    fourth = ellipsoid(s.side, s.y, s.z, (0, -44, -33), (5.5 + grow, 4 + grow, 10))
    aqueduct = capsule(s.side, s.y, s.z, (0, -34, -12), (0, -41, -24), 1.2)
    tissue.paint(Part.FOURTH_VENTRICLE, np.minimum(fourth, aqueduct))


def paint_hindbrain(tissue: Fractions, s: Surfaces, space: HeadSpace, person: Person, seed: int) -> None:
    """Cerebellum with its leaves, and brainstem."""
    bend = np.float32(1.0) * smooth_field(stream(seed, "leaves"), space.shape, space.spacing, 16.0)
    tissue.paint(Part.CEREBELLAR_CORTEX, s.cerebellum)
    rise = np.arctan2(s.z + 33, -(s.y + 40)) * np.float32(28)  # leaves fan out from the fourth ventricle
    leaf = np.abs(np.sin((rise + bend * 2) * np.float32(np.pi / 7.5))) * np.float32(3.2)
    depth = -s.cerebellum
    furrow = np.maximum(leaf - (np.float32(0.45) + np.float32(0.6 * person.atrophy)), depth - 7)
    tissue.paint(Part.CSF, np.maximum(furrow, s.cerebellum))
    blade = np.maximum(np.float32(2.4) - leaf, np.float32(4) - depth)
    core = np.minimum(
        ellipsoid(s.side, s.y, s.z, (19, -58, -36), (15, 14, 9)), ellipsoid(s.side, s.y, s.z, (9, -50, -34), (9, 10, 8))
    )
    branches = np.maximum(blade, ellipsoid(s.side, s.y, s.z, (21, -62, -37), (22, 23, 16)))
    tissue.paint(Part.CEREBELLAR_WHITE, smooth_min(core, branches, 3) + np.float32(0.3) * bend)
    peduncle = capsule(s.side, s.y, s.z, (12, -30, -33), (17, -50, -36), 6, 5)
    tissue.paint(Part.CEREBELLAR_WHITE, peduncle)
    tissue.paint(Part.BRAINSTEM, s.brainstem)
