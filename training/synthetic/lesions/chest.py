"""Lungs and pleura: nodules, opacities, emphysema, fibrosis, effusion, pneumothorax."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.synthetic.lesions.places import LOBE_ORGANS, LOBES
from training.synthetic.lesions.scene import LUNGS, Finding, Material, Region, Scene
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue

_NAMES = {name: number for number, name in LOBE_ORGANS.items()}


def lung_nodule(scene: Scene, organ: str) -> list[Finding]:
    """One to four nodules of a lobe: solid, part-solid, ground-glass or calcified."""
    return _nodules(scene, "lung_nodule", organ, 4, 29, int(scene.rng.choice([1, 1, 1, 2, 3, 4])))


def lung_mass(scene: Scene, organ: str) -> list[Finding]:
    """A solid mass over 3 cm, lobulated or spiculated."""
    return _nodules(scene, "lung_mass", organ, 32, 75, 1)


def _nodules(scene: Scene, name: str, organ: str, low: float, high: float, count: int) -> list[Finding]:
    region = _air(scene, _NAMES[organ])
    if region is None:
        return []
    depth = scene.depth(region)
    kinds = (
        ["solid", "solid", "solid", "ground-glass", "part-solid", "calcified"] if name == "lung_nodule" else ["solid"]
    )
    density = str(scene.rng.choice(kinds))
    spiculated = density != "calcified" and scene.uniform(0, 1) < (0.6 if name == "lung_mass" else 0.25)
    placed, sizes = [], []
    for _ in range(count):
        size = low + (high - low) * scene.uniform(0, 1) ** 2
        centre = scene.spot(region, min(size / 2, 0.8 * float(depth.max())), depth)
        if centre is None:
            break
        box, weight = scene.blob(
            centre, size / 2 * np.exp(scene.rng.normal(0, 0.1, 3)), rough=0.16 if spiculated else 0.08
        )
        weight *= np.isin(scene.labels[box], LUNGS[_side(organ)])
        lesion = scene.mark(box, weight, Material.OPACITY if density == "ground-glass" else Material.SOLID)
        if not lesion:
            continue
        _fill_nodule(scene, box, weight, centre, size, density)
        if spiculated:
            _spicules(scene, centre, size, _NAMES[organ])
        placed.append(lesion)
        sizes.append(scene.longest_mm(box, weight) if size > 2 * scene.spacing.max() else size)
    if not placed:
        return []
    words = {"location": LOBES[_NAMES[organ]], "lobe": organ, "density": density, "spiculated": spiculated}
    certainty = "uncertain" if max(sizes) < 7 and scene.uniform(0, 1) < 0.3 else "present"
    return [Finding(name, organ, _side(organ), round(max(sizes), 1), len(placed), certainty, tuple(placed), words)]


def _fill_nodule(scene: Scene, box, weight, centre, size: float, density: str) -> None:
    enhanced = 0.35 * scene.enhanced("MUSCLE") + 0.18 * scene.enhanced("BLOOD_VENOUS")
    solid = scene.uniform(20, 45) + enhanced
    value = {"solid": solid, "ground-glass": scene.uniform(-650, -480), "part-solid": scene.uniform(-620, -480)}
    scene.paint(box, weight, value.get(density, scene.uniform(250, 800)), lumps=25 if "glass" in density else 8)
    if density == "part-solid":
        core_box, core = scene.blob(centre, size / 2 * scene.uniform(0.35, 0.6))
        scene.paint(core_box, core, solid)


def _spicules(scene: Scene, centre, size: float, lobe: int) -> None:
    """Radiating lines: where a rough field of directions is high, up to 1.7 radii."""
    box = scene.box_around(centre, 0.9 * size)
    x, y, z = scene.grid_mm(box, centre)
    r = np.sqrt(x * x + y * y + z * z) + 1e-3
    waves = scene.rng.normal(0, 9, (3, 3))
    rays = sum(np.sin(w[0] * x / r + w[1] * y / r + w[2] * z / r) for w in waves)
    weight = np.clip((rays - 1.1) * 1.2, 0, 1) * np.clip((0.85 * size - r) / (0.4 * size), 0, 0.7) * (r > 0.4 * size)
    scene.paint(box, weight * (scene.labels[box] == lobe) * (scene.lesions[box] == 0), 10, lumps=5)


def consolidation(scene: Scene, organ: str) -> list[Finding]:
    """Air-space filling of a part of a lobe with air bronchograms."""
    enhanced = 0.5 * scene.enhanced("LIVER") + 0.2 * scene.enhanced("BLOOD_PULMONARY")
    return _opacity(scene, "consolidation", organ, 25 + enhanced, (0.15, 0.7), 0.93, Material.SOLID)


def ground_glass(scene: Scene, organ: str) -> list[Finding]:
    """Hazy patches through which the vessels stay visible."""
    return _opacity(scene, "ground_glass_opacity", organ, scene.uniform(-680, -520), (0.1, 0.6), 0.85, Material.OPACITY)


def _opacity(
    scene: Scene, name: str, organ: str, value: float, share: tuple, strength: float, material
) -> list[Finding]:
    lobe = _NAMES[organ]
    region = _air(scene, lobe)
    if region is None:
        return []
    centre = scene.spot(region, 8.0)
    if centre is None:
        return []
    x, y, z = scene.grid_mm(region.box, centre)
    lumps = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 14.0)
    score = np.sqrt(x * x + y * y + z * z) + 9 * lumps
    part = scene.uniform(*share)
    edge = float(np.quantile(score[region.mask], part))
    weight = np.clip((edge - score) / 5 + 0.5, 0, 1) * region.mask
    if name == "consolidation":
        weight *= 1 - 0.9 * np.clip(_tubes(scene, region.mask.shape) * 2 - 1, 0, 1)
    lesion = scene.mark(region.box, weight, material)
    if not lesion:
        return []
    scene.paint(region.box, strength * weight, value, lumps=12 if name == "consolidation" else 28)
    severity = "extensive" if part > 0.45 else "patchy" if part > 0.22 else "focal"
    words = {"location": LOBES[lobe], "lobe": organ, "severity": severity}
    certainty = "uncertain" if scene.uniform(0, 1) < 0.15 else "present"
    return [Finding(name, organ, _side(organ), None, 1, certainty, (lesion,), words)]


def atelectasis(scene: Scene, organ: str) -> list[Finding]:
    """A plate-like or dependent loss of air in the lower part of a lobe."""
    lobe = _NAMES[organ]
    region = _air(scene, lobe)
    if region is None or region.mask.sum() < 200:
        return []
    shape = region.mask.shape
    height = np.arange(shape[2])[None, None, :] / max(shape[2] - 1, 1)
    rows = np.where(region.mask.any(axis=1), region.mask.argmax(axis=1), 10**6)  # the posterior pleura per column
    behind = (np.arange(shape[1])[None, :, None] - rows[:, None, :]) * scene.spacing[1]
    plate = scene.uniform(0, 1) < 0.5
    if plate:
        at = scene.uniform(0.08, 0.3) + scene.uniform(-0.002, 0.002) * behind
        wave = 0.03 * smooth_field(scene.rng, shape[:2], tuple(scene.spacing[:2]), 40.0)[:, :, None]
        off = np.abs(height - at - wave) * shape[2] * scene.spacing[2]
        weight = np.clip(1.2 - off / scene.uniform(2.0, 4.5), 0, 1) * (behind < scene.uniform(45, 90))
    else:
        reach = scene.uniform(8, 26) * np.clip(1.25 - 1.4 * height, 0, 1)
        weight = np.clip((reach - behind) / 5 + 0.5, 0, 1) * (reach > 2)
    weight = (weight * region.mask).astype(np.float32)
    lesion = scene.mark(region.box, weight, Material.SOLID)
    if not lesion:
        return []
    scene.paint(region.box, 0.9 * weight, 35 + 0.6 * scene.enhanced("LIVER"), lumps=8)
    words = {"location": LOBES[lobe], "lobe": organ, "pattern": "linear" if plate else "dependent"}
    return [Finding("atelectasis", organ, _side(organ), None, 1, "present", (lesion,), words)]


def emphysema(scene: Scene, organ: str) -> list[Finding]:
    """Holes without walls in both upper lungs, a few large bullae when severe."""
    grade = int(scene.rng.integers(0, 3))
    lesion, found = None, []
    for lobe in LOBES:
        region = _air(scene, lobe)
        if region is None:
            continue
        field = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), (4.0, 6.0, 8.0)[grade])
        upper = 0.0 if lobe in (10, 12) else 0.55
        weight = np.clip((field - (1.5, 1.1, 0.6)[grade] - upper) * 2.5, 0, 1) * region.mask
        if weight.max() < 0.5:
            continue
        scene.paint(region.box, weight, scene.uniform(-985, -955), lumps=4)
        scene.paint(region.box, region.mask * np.float32(1), -(8, 20, 40)[grade], lumps=0, add=True)
        lesion = scene.mark(region.box, weight, Material.DESTROYED_LUNG, lesion) or lesion
        found.append(lobe)
    if not found:
        return []
    words = {"severity": ("mild", "moderate", "severe")[grade], "pattern": "centrilobular"}
    return [Finding("emphysema", "lungs", None, None, 1, "present", (lesion,), words)]


def bronchiectasis(scene: Scene, organ: str) -> list[Finding]:
    """A bunch of widened, thick-walled airways."""
    lobe = _NAMES[organ]
    region = _air(scene, lobe)
    if region is None:
        return []
    depth, lesion = scene.depth(region), None
    middle = scene.spot(region, 14.0, depth)
    if middle is None:
        return []
    for _ in range(int(scene.rng.integers(5, 12))):
        centre = middle + scene.rng.normal(0, 11, 3) / scene.spacing
        radius = scene.uniform(3.5, 7)
        lean = scene.rng.normal(0, 0.35, 2)
        box = scene.box_around(centre, (radius + 8, radius + 8, 16))
        x, y, z = scene.grid_mm(box, centre)
        r = np.hypot(x - lean[0] * z, y - lean[1] * z)
        ends = np.clip((15 - np.abs(z)) / 3, 0, 1) * (scene.labels[box] == lobe)
        wall = np.clip((radius + 1.6 - r) / scene.spacing[0] + 0.5, 0, 1) * ends
        lumen = np.clip((radius - r) / scene.spacing[0] + 0.5, 0, 1) * ends
        scene.paint(box, 0.75 * wall, -60, lumps=10)
        scene.paint(box, lumen, -985, lumps=3)
        lesion = scene.mark(box, wall, None, lesion) or lesion
    if not lesion:
        return []
    words = {"location": LOBES[lobe], "lobe": organ}
    return [Finding("bronchiectasis", organ, _side(organ), None, 1, "present", (lesion,), words)]


def pulmonary_fibrosis(scene: Scene, organ: str) -> list[Finding]:
    """Reticulation and honeycombing under the pleura, more at the bases."""
    lesion = None
    for side in LUNGS.values():
        region = scene.region(*side, tissues=(Tissue.LUNG,))
        if region is None:
            continue
        depth = _depth_in_hull(scene, side, region)
        height = np.linspace(0, 1, region.mask.shape[2])[None, None, :]
        reach = scene.uniform(14, 30) * np.clip(1.35 - 1.3 * height, 0.15, 1)
        field = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 5.0)
        zone = np.clip((reach - depth) / 6 + 0.5, 0, 1) * region.mask
        net = np.clip(1.4 - np.abs(field) * 4.5, 0, 1)
        scene.paint(region.box, 0.75 * zone, -690, lumps=20)
        scene.paint(region.box, 0.7 * zone * net, -120, lumps=30)
        lesion = scene.mark(region.box, zone, Material.OPACITY, lesion) or lesion
    if not lesion:
        return []
    return [Finding("pulmonary_fibrosis", "lungs", None, None, 1, "present", (lesion,), {"severity": "subpleural"})]


def pleural_effusion(scene: Scene, organ: str) -> list[Finding]:
    """Fluid behind the lung; it takes its room from the lung, and the lung beside it collapses a little."""
    taken = _take_pleura(scene, organ, -1.0, scene.uniform(0, 1) ** 1.5 * 1100 + 70)
    if taken is None:
        return []
    region, fluid, score, edge = taken
    lesion = scene.mark(region.box, fluid, Material.FLUID)
    scene.labels[region.box][fluid >= 0.5] = 0
    blood = scene.uniform(0, 1) < 0.1
    scene.paint(region.box, fluid, scene.uniform(35, 60) if blood else scene.uniform(2, 20), lumps=2)
    collapsed = np.clip((edge + scene.uniform(4, 14) - score) / 4 + 0.5, 0, 1) * region.mask * (fluid < 0.5)
    scene.paint(region.box, 0.88 * collapsed, 35 + 0.6 * scene.enhanced("LIVER"), lumps=8)
    thick = float((fluid >= 0.5).sum(axis=1).max() * scene.spacing[1])
    volume = float((fluid >= 0.5).sum() * np.prod(scene.spacing) / 1000)
    severity = "small" if volume < 250 else "moderate" if volume < 650 else "large"
    words = {"severity": severity, "volume_ml": round(volume), "blood": blood}
    certainty = "uncertain" if volume < 110 and scene.uniform(0, 1) < 0.4 else "present"
    return [Finding("pleural_effusion", organ, _side(organ), round(float(thick), 1), 1, certainty, (lesion,), words)]


def pneumothorax(scene: Scene, organ: str) -> list[Finding]:
    """Air in front of the lung; the lung keeps away from the chest wall."""
    taken = _take_pleura(scene, organ, 1.0, scene.uniform(80, 900))
    if taken is None:
        return []
    region, air, _, _ = taken
    lesion = scene.mark(region.box, air, Material.GAS)
    scene.labels[region.box][air >= 0.5] = 0
    scene.paint(region.box, air, -995, lumps=2)
    thick = float((air >= 0.5).sum(axis=1).max() * scene.spacing[1])
    words = {"severity": "small" if thick < 20 else "large" if thick > 45 else "moderate"}
    return [Finding("pneumothorax", organ, _side(organ), round(thick, 1), 1, "present", (lesion,), words)]


def _take_pleura(scene: Scene, organ: str, forward: float, millilitres: float):
    """The part of a pleural cavity that fluid (forward -1) or air (+1) fills: a level with a meniscus.

    Returns:
        region of the whole lung, weights, the score whose `edge` is the limit; None where there is no lung.
    """
    ids = LUNGS[_side(organ)]
    region = scene.region(*ids, margin_mm=3)
    if region is None:
        return None
    depth = scene.depth(region)
    up = np.arange(region.mask.shape[2])[None, None, :] * scene.spacing[2]
    front = np.arange(region.mask.shape[1])[None, :, None] * scene.spacing[1]
    score = -forward * front - 0.25 * forward * up + 1.1 * np.minimum(depth, 60)
    score = score + 2.5 * smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 40.0)
    values = score[region.mask]
    wanted = millilitres * 1000 / float(np.prod(scene.spacing))
    edge = float(np.quantile(values, min(wanted / values.size, 0.55)))
    weight = (np.clip((edge - score) / 4 + 0.5, 0, 1) * region.mask).astype(np.float32)
    return (region, weight, score, edge) if (weight >= 0.5).any() else None


def _depth_in_hull(scene: Scene, ids, region: Region) -> np.ndarray:
    """Distance to the lung's outside, vessels and airways counted as lung."""
    closed = ndimage.binary_closing(np.pad(region.mask, 3), iterations=2)[3:-3, 3:-3, 3:-3]
    return scene.depth(Region(region.box, closed))


def _air(scene: Scene, lobe: int) -> Region | None:
    """The aerated part of a lobe, or None where less than a few voxels of it are there."""
    region = scene.region(lobe, tissues=(Tissue.LUNG,))
    return region if region is not None and region.mask.sum() > 30 else None


def _tubes(scene: Scene, shape) -> np.ndarray:
    a, b = (smooth_field(scene.rng, shape, tuple(scene.spacing), 13.0) for _ in range(2))
    return np.exp(-(a * a + b * b) / 0.1)


def _side(organ: str) -> str | None:
    return next((side for side in ("left", "right") if side in organ.split("_")), None)
