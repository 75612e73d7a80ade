"""Build a virtual patient: label map, tissue map and landmarks from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume
from training.synthetic import bowel, liver, muscles, pelvis, shoulder, skeleton, thorax, vessels, viscera
from training.synthetic.body import Trunk, fill_body, plan_body
from training.synthetic.canvas import BodyFrame, Canvas, Plan
from training.synthetic.physique import Physique, draw_physique, stream
from training.synthetic.spine import Spine

REGIONS = ("torso", "chest", "chest_abdomen", "chest_abdomen_pelvis", "abdomen", "abdomen_pelvis", "pelvis")


@dataclass(frozen=True)
class Anatomy:
    """A virtual patient.

    Attributes:
        labels: label map, uint8, TotalSegmentator v2 ids 1..117, 0 elsewhere.
        tissues: `Tissue` of every voxel, uint8, same grid.
        physique: who it is.
        landmarks: named points, RAS mm; also those outside the scanned range.
        seed: of the patient.
        region: scanned range.
    """

    labels: Volume
    tissues: Volume
    physique: Physique
    landmarks: Mapping[str, np.ndarray]
    seed: int
    region: str


def _range(region: str, spine: Spine, plan: Plan, rng) -> tuple[float, float]:
    """Canonical heights scanned, mm."""
    dome = float(plan.landmarks["dome_right"][2])
    neck, crest, low = spine.level("T1"), 35.0, -165.0
    ranges = {
        "torso": (-225.0, spine.level("C6")),
        "chest": (dome - rng.uniform(70, 190), neck + rng.uniform(-5, 45)),
        "chest_abdomen": (crest - rng.uniform(-20, 60), neck + rng.uniform(-5, 40)),
        "chest_abdomen_pelvis": (low + rng.uniform(-45, 20), neck + rng.uniform(-5, 40)),
        "abdomen": (crest - rng.uniform(-30, 50), dome + rng.uniform(0, 60)),
        "abdomen_pelvis": (low + rng.uniform(-45, 30), dome + rng.uniform(-5, 65)),
        "pelvis": (low + rng.uniform(-50, 10), crest + rng.uniform(0, 70)),
    }
    return ranges[region]


def _fine_canvas(plan_canvas: Canvas, spine: Spine, spacing, region: str) -> Canvas:
    """The requested grid: the region's heights, in plane just around the skin."""
    body, plan = plan_canvas.body, plan_canvas.plan
    low, high = _range(region, spine, plan, plan_canvas.rng(f"range {region}"))
    z = body.to_world(np.array([[0, 0, low], [0, 0, high]]))[:, 2]
    skin = plan.fields["skin"] < 0
    k = np.clip(((z - body.low[2]) / body.spacing[2]).astype(int), 0, skin.shape[2] - 1)
    inside = np.nonzero(skin[:, :, k[0] : k[1] + 1].any(2))
    lo = body.low[:2] + body.spacing[:2] * [inside[0].min() - 1.5, inside[1].min() - 1.5]
    hi = body.low[:2] + body.spacing[:2] * [inside[0].max() + 1.5, inside[1].max() + 1.5]
    spacing = np.asarray(spacing, float)
    start, stop = np.r_[lo, z[0]], np.r_[hi, z[1]]
    shape = np.maximum(np.round((stop - start) / spacing).astype(int), 2)
    return Canvas(body, plan, plan_canvas.physique, plan_canvas.seed, start, tuple(int(n) for n in shape), spacing)


def _paint(canvas: Canvas, spine: Spine, trunk: Trunk) -> None:
    """All structures, in order of precedence."""
    fill_body(canvas)
    skeleton.paint_spine(canvas, spine)
    hips = pelvis.paint_pelvis(canvas, spine)
    cage = skeleton.paint_cage(canvas, spine, trunk)
    shoulder.paint_shoulders(canvas, spine, trunk, cage)
    muscles.paint_muscles(canvas, spine, hips)
    med = thorax.Mediastinum(canvas, spine, trunk)
    thorax.paint_airways(med)
    thorax.paint_heart(med)
    vessels.paint_chest_vessels(med)
    vessels.paint_abdominal_vessels(med, hips)
    muscles.paint_crura(canvas, spine)
    thorax.finish_envelope(med)
    thorax.paint_lungs(med)
    viscera.paint_kidneys(med)
    vessels.paint_branches(med)
    viscera.stomach_course(med)
    viscera.paint_spleen(med)
    viscera.paint_stomach(med)
    viscera.paint_pancreas(med)
    viscera.paint_gallbladder(med)
    liver.paint_liver(med)
    bowel.paint_bladder(med, hips)
    bowel.paint_colon(med, hips)
    bowel.paint_small_bowel(med)
    bowel.paint_mesentery(med)


def build_anatomy(seed: int, spacing_mm: float | tuple = 3.0, region: str = "torso", **overrides) -> Anatomy:
    """Build a patient; the same seed is the same patient at every spacing and region.

    Args:
        seed: patient.
        spacing_mm: voxel size mm, one number or three (x, y, z).
        region: one of `REGIONS`; the range is jittered by seed except for "torso".
        overrides: fixed `Physique` parameters.

    Returns:
        Labels and tissues on one RAS grid.

    Raises:
        InputError: unknown region, spacing outside 0.3..12 mm, or unknown parameter.
    """
    if region not in REGIONS:
        raise InputError(f"unknown region {region!r}; one of {', '.join(REGIONS)}")
    spacing = np.broadcast_to(np.asarray(spacing_mm, float), (3,))
    if not np.all((spacing >= 0.3) & (spacing <= 12)):
        raise InputError(f"spacing {spacing_mm} mm is outside 0.3..12 mm")
    physique = draw_physique(seed, **overrides)
    spine = Spine(physique, seed)
    trunk = Trunk(physique, spine, seed)
    frame, plan = BodyFrame(physique, seed), Plan()
    coarse = Canvas(frame, plan, physique, seed)
    plan_body(coarse, spine, trunk)
    _paint(coarse, spine, trunk)
    fine = _fine_canvas(coarse, spine, spacing, region)
    _paint(fine, spine, trunk)
    names = list(plan.landmarks)
    world = frame.to_world(np.array([plan.landmarks[n] for n in names]))
    shift = stream(seed, "table").normal(0, 40, 3)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = fine.origin + shift
    grid = Affine(affine)
    landmarks = {n: w + shift for n, w in zip(names, world, strict=True)}
    return Anatomy(
        Volume(fine.labels, grid, Kind.LABEL), Volume(fine.tissues, grid, Kind.LABEL), physique, landmarks, seed, region
    )
