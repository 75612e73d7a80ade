"""Abdominal changes that are no round lesions: biliary tree, pancreatic duct, kidneys, bladder, peritoneum, gut."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.synthetic.lesions.places import organ_ids
from training.synthetic.lesions.scene import Finding, Material, Region, Scene, tissue_is
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue

_FAT = (Tissue.FAT_VISCERAL,)


def gallbladder_wall_thickening(scene: Scene, organ: str) -> list[Finding]:
    """A thick, enhancing wall, often with fluid around."""
    thick = scene.uniform(3.6, 9)
    region = scene.region(4, margin_mm=thick + 4)
    if region is None:
        return []
    away = scene.distance_to(region.mask)
    room = np.isin(scene.tissues[region.box], _FAT) | region.mask
    wall = np.clip((0.6 * thick - away) / 2 + 0.5, 0, 1) * room
    inner = np.clip((scene.depth(region) - 0.4 * thick) / 2 + 0.5, 0, 1) * region.mask
    if scene.uniform(0, 1) < 0.5:
        halo = np.clip((0.6 * thick + 4 - away) / 2 + 0.5, 0, 1) * room
        scene.paint(region.box, 0.8 * halo, 12, lumps=3)
    scene.paint(region.box, wall * (1 - inner), scene.hu("BOWEL_WALL") + scene.uniform(-5, 15), lumps=4)
    lesion = scene.mark(region.box, wall * (1 - inner))
    scene.labels[region.box][(wall >= 0.5) & ~region.mask] = 4
    return (
        [Finding("gallbladder_wall_thickening", organ, None, round(thick, 1), 1, "present", (lesion,))]
        if lesion
        else []
    )


def absent_gallbladder(scene: Scene, organ: str) -> list[Finding]:
    """State after cholecystectomy: fat and a few clips where the gallbladder was."""
    region = scene.region(4)
    if region is None:
        return []
    scene.labels[region.box][region.mask] = 0
    scene.tissues[region.box][region.mask] = Tissue.FAT_VISCERAL
    top = np.argwhere(region.mask & (np.arange(region.mask.shape[2]) > 0.5 * region.mask.shape[2]))
    lesion = None
    for _ in range(int(scene.rng.integers(0, 4))):
        if len(top):
            centre = region.start + top[int(scene.rng.integers(len(top)))]
            box, weight = scene.blob(centre, (1.0, 1.0, 3.0), rough=0)
            scene.paint(box, weight, 2200, lumps=0)
            lesion = scene.mark(box, weight, Material.CALCIUM, lesion) or lesion
    words = {"clips": lesion is not None}
    return [Finding("absent_gallbladder", organ, None, None, 1, "present", (lesion,) if lesion else (), words)]


def biliary_dilatation(scene: Scene, organ: str) -> list[Finding]:
    """Ducts full of bile beside the branches of the portal vein."""
    region = scene.region(5, margin_mm=2)
    if region is None:
        return []
    vessel = (scene.tissues[region.box] == Tissue.LIVER_VESSEL) & region.mask
    centre = scene.around((64,))
    if vessel.sum() < 20:
        return []
    duct = np.roll(vessel, (1, 1), axis=(0, 1)) & ~vessel & region.mask & (scene.tissues[region.box] == Tissue.LIVER)
    if centre is not None:  # the large ones lie at the hilum
        x, y, z = scene.grid_mm(region.box, [(s.start + s.stop) / 2 for s in centre])
        duct &= np.sqrt(x * x + y * y + z * z) < scene.uniform(55, 110)
    lesion = scene.mark(region.box, duct.astype(np.float32), Material.FLUID)
    if not lesion:
        return []
    scene.paint(region.box, duct, scene.hu("BILE"), lumps=1)
    grade = "marked" if duct.sum() > 0.02 * region.mask.sum() else "mild"
    return [Finding("biliary_dilatation", organ, None, None, 1, "present", (lesion,), {"severity": grade})]


def pancreatic_duct_dilatation(scene: Scene, organ: str) -> list[Finding]:
    """A wide duct along the middle of the gland."""
    region = scene.region(7)
    if region is None or region.mask.sum() < 60:
        return []
    depth = scene.depth(region)
    along = np.flatnonzero(region.mask.any(axis=(1, 2)))
    columns = depth[along].reshape(len(along), -1).argmax(axis=1)
    path = np.stack([along, *np.unravel_index(columns, depth.shape[1:])], 1).astype(float)
    path[:, 1:] = ndimage.gaussian_filter1d(path[:, 1:], 2.0, axis=0, mode="nearest")
    width = scene.uniform(4.0, 10.0)
    lesion = None
    for point in path[max(1, len(path) // 20) :]:
        box, weight = scene.blob(region.start + point, max(width / 2, 0.6), rough=0)
        weight *= np.isin(scene.labels[box], (7,))
        scene.paint(box, weight, 10, lumps=1)
        lesion = scene.mark(box, weight * 0.9, Material.FLUID, lesion) or lesion
    return (
        [Finding("pancreatic_duct_dilatation", organ, None, round(width, 1), 1, "present", (lesion,))] if lesion else []
    )


def hydronephrosis(scene: Scene, organ: str) -> list[Finding]:
    """A renal pelvis and calices widened by urine, bulging towards the hilum, under a thinner cortex."""
    region = scene.region(*organ_ids(organ), margin_mm=16)
    if region is None or region.mask.sum() < 150:
        return []
    hull = ndimage.binary_closing(region.mask, iterations=max(1, int(9 / scene.spacing.mean())))
    depth = scene.depth(Region(region.box, hull))
    grade = int(scene.rng.integers(0, 3))
    where = np.argwhere(hull).mean(axis=0)
    inward = -1.0 if organ.endswith("right") else 1.0
    hilum = region.start + where + np.array([inward * 9 / scene.spacing[0], 0, 0])
    x, y, z = scene.grid_mm(region.box, hilum)
    lumps = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 9.0)
    size = (14, 21, 29)[grade] * scene.uniform(0.9, 1.1)
    pelvis = np.sqrt((x / 1.0) ** 2 + (y / 0.8) ** 2 + (z / 1.5) ** 2)
    cortex = (13, 10, 7)[grade]
    calices = np.clip((depth - cortex + 2.5 * lumps) / 2.5 + 0.5, 0, 1) * hull
    outside = np.clip((0.55 * size - pelvis) / 2.5 + 0.5, 0, 1)
    fat = (scene.labels[region.box] == 0) & tissue_is(scene.tissues[region.box], Tissue.FAT_VISCERAL, Tissue.URINE)
    weight = np.maximum(calices, outside) * (hull | fat | region.mask) * (scene.lesions[region.box] == 0)
    late = scene.contrast.phase == "delayed" and scene.uniform(0, 1) < 0.5
    lesion = scene.mark(region.box, weight, Tissue.URINE)
    if not lesion:
        return []
    scene.paint(region.box, weight, scene.hu("URINE_PELVIS") if late else scene.uniform(0, 14), lumps=2)
    words = {"severity": ("mild", "moderate", "severe")[grade]}
    side = "right" if organ.endswith("right") else "left"
    return [Finding("hydronephrosis", organ, side, round(1.1 * 0.8 * size, 1), 1, "present", (lesion,), words)]


def absent_kidney(scene: Scene, organ: str) -> list[Finding]:
    """State after nephrectomy: fat in an empty renal bed."""
    region = scene.region(*organ_ids(organ))
    if region is None:
        return []
    hull = ndimage.binary_closing(np.pad(region.mask, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    urine = np.isin(scene.tissues[region.box], (Tissue.URINE, Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA))
    hull = region.mask | (hull & urine & (scene.labels[region.box] == 0))
    scene.labels[region.box][hull] = 0
    scene.tissues[region.box][hull] = Tissue.FAT_VISCERAL
    side = "right" if organ.endswith("right") else "left"
    return [Finding("absent_kidney", organ, side, None, 1, "present")]


def bladder_wall_thickening(scene: Scene, organ: str) -> list[Finding]:
    """A wall of 5 to 12 mm at the cost of the lumen."""
    region = scene.region(21)
    if region is None:
        return []
    depth = scene.depth(region)
    thick = min(scene.uniform(5, 12), 0.6 * float(depth.max()))
    uneven = 1 + 0.35 * smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 25.0)
    wall = np.clip((thick * uneven - depth) / 2 + 0.5, 0, 1) * region.mask
    lesion = scene.mark(region.box, wall, Tissue.BLADDER_WALL)
    if not lesion or thick < 4:
        return []
    scene.paint(region.box, wall, scene.hu("BLADDER_WALL"), lumps=4)
    return [Finding("bladder_wall_thickening", organ, None, round(thick, 1), 1, "present", (lesion,))]


def ascites(scene: Scene, organ: str) -> list[Finding]:
    """Fluid around liver and spleen, in the gutters and the pelvis: it replaces fat that touches them."""
    box = scene.around((1, 5, 18, 20, 6), 14)
    if box is None:
        return []
    tissues, labels = scene.tissues[box], scene.labels[box]
    spine = scene.around(tuple(range(27, 36)))
    cavity = tissue_is(tissues, Tissue.FAT_VISCERAL) & (labels == 0)
    if spine is not None:  # not the retroperitoneum
        front = (np.arange(box[1].start, box[1].stop) > spine[1].stop - 0.25 * (spine[1].stop - spine[1].start))[
            None, :, None
        ]
        cavity &= front | (ndimage.minimum_filter(np.isin(labels, (20, 1, 5)) * 1, 1) > 0) | _lateral(scene, box, 75)
    lungs = scene.around((10, 11, 12, 13, 14))
    solid, gut = np.isin(labels, (1, 5)), np.isin(labels, (18, 19, 20, 6))
    if not solid.any() and not gut.any():
        return []
    near = scene.distance_to(solid) if solid.any() else np.full(labels.shape, 99.0, np.float32)
    loops = scene.distance_to(gut) if gut.any() else np.full(labels.shape, 99.0, np.float32)
    down = np.arange(labels.shape[2])[None, None, :] * scene.spacing[2]
    behind = np.arange(labels.shape[1])[None, :, None] * scene.spacing[1]
    score = np.minimum(near, loops + 6) + 0.06 * behind + 0.05 * np.minimum(down, 250)
    score += 2 * smooth_field(scene.rng, labels.shape, tuple(scene.spacing), 30.0)
    if lungs is not None and solid.any():
        cavity[..., np.arange(box[2].start, box[2].stop) > np.argwhere(solid)[:, 2].max() + box[2].start] = False
    available = float(cavity.sum() * np.prod(scene.spacing) / 1000)
    if available < 60:
        return []
    share = min(scene.uniform(0.12, 0.75), 2500 / available)
    edge = float(np.quantile(score[cavity], share))
    weight = (np.clip((edge - score) / 3 + 0.5, 0, 1) * cavity).astype(np.float32)
    lesion = scene.mark(box, weight, Material.FLUID)
    if not lesion:
        return []
    scene.paint(box, weight, scene.uniform(2, 18), lumps=2)
    volume = float((weight >= 0.5).sum() * np.prod(scene.spacing) / 1000)
    severity = "small" if volume < 350 else "moderate" if volume < 1100 else "large"
    words = {"severity": severity, "volume_ml": round(volume)}
    certainty = "uncertain" if volume < 150 and scene.uniform(0, 1) < 0.3 else "present"
    return [Finding("ascites", organ, None, None, 1, certainty, (lesion,), words)]


def _lateral(scene: Scene, box, distance_mm: float) -> np.ndarray:
    """Columns further from the middle than a distance: flanks and gutters."""
    middle = scene.labels.shape[0] / 2
    off = np.abs(np.arange(box[0].start, box[0].stop) - middle) * scene.spacing[0]
    return (off > distance_mm)[:, None, None]


def free_air(scene: Scene, organ: str) -> list[Finding]:
    """Gas in the most anterior fat of the abdomen, in front of liver and gut."""
    box = scene.around((5, 18, 20), 8)
    if box is None:
        return []
    tissues, labels = scene.tissues[box], scene.labels[box]
    cavity = tissue_is(tissues, Tissue.FAT_VISCERAL) & (labels == 0) & ~_lateral(scene, box, 110)
    liver = np.argwhere(labels == 5)
    if len(liver):
        cavity[..., liver[:, 2].max() - int(25 / scene.spacing[2]) :] = False
    if cavity.sum() < 100:
        return []
    front = np.arange(labels.shape[1])[None, :, None] * scene.spacing[1]
    score = -front + 3 * smooth_field(scene.rng, labels.shape, tuple(scene.spacing), 30.0)
    wanted = scene.uniform(12, 140) * 1000 / float(np.prod(scene.spacing))
    edge = float(np.quantile(score[cavity], min(wanted / cavity.sum(), 0.35)))
    weight = (np.clip((edge - score) / 3 + 0.5, 0, 1) * cavity).astype(np.float32)
    lesion = scene.mark(box, weight, Material.GAS)
    if not lesion:
        return []
    scene.paint(box, weight, -990, lumps=2)
    return [Finding("free_air", organ, None, None, 1, "present", (lesion,))]
