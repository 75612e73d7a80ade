"""Lesions: where they are, voxel by voxel, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.synthetic.brain.contrast import Relaxation
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.lesion_plan import LesionPlan
from training.synthetic.brain.parts import DEEP_GREY, INFRATENTORIAL, TISSUE, Part
from training.synthetic.brain.plaques import plaques
from training.synthetic.brain.space import HeadSpace
from training.synthetic.texture import smooth_field

LESION_NAMES = {
    1: "white_matter_hyperintensity", 2: "ms_plaque", 3: "acute_infarct", 4: "old_infarct", 5: "old_infarct_cavity",
    6: "tumour", 7: "tumour_necrosis", 8: "oedema",
}  # fmt: skip
_MATERIAL: dict[int, Relaxation] = {
    1: (1180, 125, 0.81), 2: (1450, 165, 0.86), 3: (1480, 145, 0.86), 4: (1400, 150, 0.84), 5: (3700, 900, 1.0),
    6: (1700, 145, 0.87), 7: (2700, 320, 0.95), 8: (1350, 132, 0.84),
}  # fmt: skip
_LOW_GRADE: Relaxation = (1750, 185, 0.89)
_HINDBRAIN = ("cerebellum", "brainstem")


@dataclass(frozen=True, eq=False)
class Patch:
    """One material in some voxels.

    Attributes:
        number: of `LESION_NAMES`.
        cover: share of each voxel, `(I, J, K)` float32.
        relaxation: T1 ms, T2 ms, proton density.
    """

    number: int
    cover: np.ndarray
    relaxation: Relaxation


@dataclass(frozen=True, eq=False)
class Scene:
    """A head in which lesions are put.

    Attributes:
        tissue: its parts.
        space: where its voxels lie.
        rng: source of all draws.
    """

    tissue: Fractions
    space: HeadSpace
    rng: np.random.Generator

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(np.prod(self.space.spacing)) / 1000

    def noise(self, length_mm: float) -> np.ndarray:
        """A smooth field of unit deviation, `(I, J, K)`."""
        return smooth_field(self.rng, self.space.shape, self.space.spacing, length_mm)

    def distance_to(self, parts: tuple[Part, ...]) -> np.ndarray:
        """Distance to the nearest voxel mostly of these parts, mm, `(I, J, K)` float32; far away without any."""
        mask = self.tissue.of(parts) > 0.5
        if not mask.any():
            return np.full(self.space.shape, 1e3, np.float32)
        return ndimage.distance_transform_edt(~mask, self.space.spacing).astype(np.float32)

    def lowest(self, score: np.ndarray, allowed: np.ndarray, volume_ml: float, edge: float) -> np.ndarray:
        """Cover the allowed voxels of the lowest score until a volume is reached.

        Args:
            score: `(I, J, K)`.
            allowed: share of each voxel that may be covered, `(I, J, K)`.
            volume_ml: how much.
            edge: width of the soft edge, in units of the score.

        Returns:
            `(I, J, K)` float32 shares.
        """
        places = np.flatnonzero(allowed > 0.3)
        values = score.ravel()[places]
        order = np.argsort(values)
        filled = np.cumsum(allowed.ravel()[places][order]) * self.voxel_ml
        if not len(order) or volume_ml <= 0:
            return np.zeros(score.shape, np.float32)
        last = min(int(np.searchsorted(filled, volume_ml)), len(order) - 1)
        return np.clip(0.5 - (score - values[order[last]]) / edge, 0, 1).astype(np.float32) * allowed


def white_matter_lesions(scene: Scene, volume_ml: float) -> list[Patch]:
    """What age leaves in the white matter: caps and bands at the ventricles, spots away from them."""
    if volume_ml < 0.05:
        return []
    white = scene.tissue.shares[Part.WHITE]
    near = scene.distance_to((Part.LATERAL_VENTRICLE,))
    cortex = scene.distance_to((Part.CORTEX,))
    score = near / (3.0 + 0.25 * volume_ml) - 1.1 * scene.noise(7.0) - 0.5 * scene.noise(16.0)
    allowed = white * (cortex > 3.0) * (near < 45)
    return [Patch(1, scene.lowest(score, allowed, volume_ml, 0.5), _MATERIAL[1])]


def plaque_lesions(scene: Scene, plan: LesionPlan) -> list[Patch]:
    """Plaques of multiple sclerosis; the darker on T1w, the older."""
    cover = plaques(scene, plan.volume_ml)
    t1, t2, density = _MATERIAL[2]
    old = float(scene.rng.uniform(0.9, 1.35))
    return [Patch(2, cover, (t1 * old, t2 * old**0.5, density))]


def infarct(scene: Scene, plan: LesionPlan) -> list[Patch]:
    """An infarct of a vessel's territory, fresh and swollen or old with a cavity."""
    space = scene.space
    hindbrain = scene.tissue.of(INFRATENTORIAL)
    tissue = hindbrain if plan.variety in _HINDBRAIN else scene.tissue.of(TISSUE) - hindbrain
    if plan.variety == "deep":
        tissue = scene.tissue.of((*DEEP_GREY, Part.WHITE))
    allowed = tissue * _territory(plan, space)
    away = [axis - np.float32(centre) for axis, centre in zip((space.x, space.y, space.z), plan.centre, strict=True)]
    squeeze = (0.75, 1.0, 0.9) if plan.variety == "mca" else (1.0, 1.0, 1.0)
    distance = np.sqrt(sum((axis * np.float32(factor)) ** 2 for axis, factor in zip(away, squeeze, strict=True)))
    rough = np.float32(0.16 * (plan.volume_ml * 240) ** (1 / 3) + 0.4)
    score = distance + rough * (scene.noise(12.0) + 0.5 * scene.noise(6.0))
    edge = 2.5 if plan.kind == "stroke_acute" else 1.5
    whole = scene.lowest(score, allowed, plan.volume_ml, edge * max(space.spacing))
    if plan.kind == "stroke_acute":
        return [Patch(3, whole, _MATERIAL[3])]
    cavity = scene.lowest(score, allowed, plan.volume_ml * plan.spread, 1.2 * max(space.spacing))
    return [Patch(4, whole, _MATERIAL[4]), Patch(5, np.minimum(cavity, whole), _MATERIAL[5])]


def _territory(plan: LesionPlan, space: HeadSpace) -> np.ndarray:
    """Where the vessel of a plan goes, 0 or 1, `(I, J, K)`."""
    own = space.x < 0 if plan.side == "left" else space.x > 0
    side = np.abs(space.x)
    border = side - np.float32(0.28) * np.abs(space.y + 10)
    rules: dict[str, Callable[[], np.ndarray]] = {
        "mca": lambda: (border > 12) & (space.y > -66) & (space.z > -26),
        "aca": lambda: (side < 22) & (space.y > -40) & (space.z > -4),
        "pca": lambda: (space.y < -34) & (space.z < 34) & (side < 46),
    }
    return own & rules[plan.variety]() if plan.variety in rules else own


def tumour(scene: Scene, plan: LesionPlan) -> list[Patch]:
    """A tumour with its necrosis, and oedema along the white matter around it."""
    space, share = scene.space, scene.tissue.of(TISSUE)
    if not share.any():
        return []
    away = [axis - np.float32(centre) for axis, centre in zip((space.x, space.y, space.z), plan.centre, strict=True)]
    stretch = np.exp(scene.rng.normal(0, 0.12, 3))
    distance = np.sqrt(sum((axis * np.float32(factor)) ** 2 for axis, factor in zip(away, stretch, strict=True)))
    radius = np.float32((plan.volume_ml * 240) ** (1 / 3))
    score = distance + np.float32(0.13) * radius * (scene.noise(max(10.0, 0.7 * radius)) + 0.4 * scene.noise(6.0))
    own = space.x < 3 if plan.side == "left" else space.x > -3
    edge = max(space.spacing)
    core = scene.lowest(score, share * own, plan.volume_ml, (2.5 if plan.variety == "low_grade" else 1.2) * edge)
    patches = []
    if plan.spread:
        allowed = np.maximum(scene.tissue.shares[Part.WHITE], core) * own
        around = scene.lowest(score + 2.5 * scene.noise(9.0), allowed, plan.volume_ml * (1 + plan.spread), 2.5 * edge)
        patches.append(Patch(8, around, _MATERIAL[8]))
    patches.append(Patch(6, core, _LOW_GRADE if plan.variety == "low_grade" else _MATERIAL[6]))
    if plan.variety == "high_grade" or (plan.variety == "metastasis" and plan.volume_ml > 4):
        part = plan.volume_ml * float(scene.rng.uniform(0.2, 0.5))
        inner = scene.lowest(score + 1.5 * scene.noise(8.0), core, part, 1.2 * edge)
        patches.append(Patch(7, inner, _MATERIAL[7]))
    return patches


def place_lesions(scene: Scene, plan: LesionPlan, white_matter_ml: float) -> list[Patch]:
    """All lesions of a head, in the order in which they cover each other."""
    patches = white_matter_lesions(scene, white_matter_ml)
    if plan.kind == "ms":
        patches += plaque_lesions(scene, plan)
    elif plan.kind.startswith("stroke"):
        patches += infarct(scene, plan)
    elif plan.kind == "tumour":
        patches += tumour(scene, plan)
    return patches


def lesion_map(patches: list[Patch], shape: tuple[int, int, int]) -> np.ndarray:
    """Number of the lesion that covers at least half of each voxel, the last one counts; uint8."""
    out = np.zeros(shape, np.uint8)
    for patch in patches:
        out[patch.cover >= 0.5] = patch.number
    return out
