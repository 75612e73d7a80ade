"""Heart, aorta, pulmonary arteries and lymph nodes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.synthetic.lesions.scene import Finding, Material, Region, Scene, tissue_is
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue

_ENHANCED = ("arterial", "portal_venous", "delayed", "ctpa")


def cardiomegaly(scene: Scene, organ: str) -> list[Finding]:
    """A heart that the physique has made large; its width against the chest's is measured."""
    heart, lungs = scene.region(51), scene.around((10, 11, 12, 13, 14))
    if heart is None or lungs is None:
        return []
    width = np.flatnonzero(heart.mask.any(axis=(1, 2)))
    ratio = (width[-1] - width[0] + 1) / (lungs[0].stop - lungs[0].start)
    words = {"severity": "marked" if ratio > 0.6 else "mild", "ratio": round(float(ratio), 2)}
    return [Finding("cardiomegaly", organ, None, None, 1, "present", (), words)]


def pericardial_effusion(scene: Scene, organ: str) -> list[Finding]:
    """A coat of fluid around the heart, thicker behind."""
    thick = 5 + 22 * scene.uniform(0, 1) ** 1.5
    region = scene.region(51, margin_mm=thick + 6)
    if region is None:
        return []
    away = ndimage.distance_transform_edt(~region.mask, sampling=scene.spacing)
    labels, tissues = scene.labels[region.box], scene.tissues[region.box]
    room = tissue_is(tissues, Tissue.FAT_VISCERAL) & (labels == 0)
    room |= tissue_is(tissues, Tissue.LUNG, Tissue.LUNG_VESSEL)
    rows = np.arange(labels.shape[1])[None, :, None] / labels.shape[1]
    reach = thick * (1.25 - 0.7 * rows)
    weight = (np.clip((reach - away) / 2 + 0.5, 0, 1) * room).astype(np.float32)
    lesion = scene.mark(region.box, weight, Material.FLUID)
    if not lesion:
        return []
    labels[weight >= 0.5] = 0
    scene.paint(region.box, weight, scene.uniform(4, 24), lumps=2)
    severity = "small" if thick < 11 else "moderate" if thick < 19 else "large"
    return [
        Finding("pericardial_effusion", organ, None, round(thick, 1), 1, "present", (lesion,), {"severity": severity})
    ]


def coronary_calcification(scene: Scene, organ: str) -> list[Finding]:
    """Calcium along the anterior descending and, when severe, the right and circumflex arteries."""
    region = scene.region(51)
    if region is None or region.mask.sum() < 500:
        return []
    grade = int(scene.rng.integers(0, 3))
    surface = region.mask & ~ndimage.binary_erosion(region.mask)
    points = np.argwhere(surface)
    low, high = points.min(axis=0), points.max(axis=0)
    part = (points - low) / np.maximum(high - low, 1)
    courses = [
        (0.42, 0.95, 0.86, 0.30, 0.95, 0.40),
        (0.72, 0.85, 0.80, 0.80, 0.70, 0.35),
        (0.25, 0.45, 0.80, 0.12, 0.35, 0.55),
    ]
    lesion, count = None, 0
    for course in courses[: grade + 1]:
        for t in np.sort(scene.rng.uniform(0, 1, int(scene.rng.integers(2, 5 + 3 * grade)))):
            wanted = np.array(course[:3]) * (1 - t) + np.array(course[3:]) * t
            at = points[int(((part - wanted) ** 2).sum(axis=1).argmin())]
            radius = scene.uniform(1.1, 2.2 + 0.5 * grade)
            box, weight = scene.blob(region.start + at, (radius, radius, radius * scene.uniform(1, 2.2)), rough=0)
            scene.paint(box, weight, scene.uniform(450, 1100), lumps=20)
            lesion = scene.mark(box, weight, Material.CALCIUM, lesion) or lesion
            count += 1
    if not lesion:
        return []
    words = {"severity": ("mild", "moderate", "severe")[grade]}
    return [Finding("coronary_calcification", organ, None, None, count, "present", (lesion,), words)]


def aortic_valve_calcification(scene: Scene, organ: str) -> list[Finding]:
    """Calcium where the ascending aorta leaves the heart."""
    region = scene.region(51, margin_mm=6)
    if region is None:
        return []
    aorta = ndimage.binary_dilation(scene.labels[region.box] == 52, iterations=2)
    meet = np.argwhere(aorta & region.mask)
    if not len(meet):
        return []
    meet = meet[meet[:, 1] >= np.quantile(meet[:, 1], 0.6)]
    middle, lesion = region.start + np.median(meet, axis=0), None
    for _ in range(int(scene.rng.integers(3, 8))):
        box, weight = scene.blob(middle + scene.rng.normal(0, 4, 3) / scene.spacing, scene.uniform(1.2, 2.6), rough=0)
        scene.paint(box, weight, scene.uniform(450, 1000), lumps=20)
        lesion = scene.mark(box, weight, Material.CALCIUM, lesion) or lesion
    return [Finding("aortic_valve_calcification", organ, None, None, 1, "present", (lesion,))] if lesion else []


def aortic_calcification(scene: Scene, organ: str) -> list[Finding]:
    """Plaques in the wall of the aorta."""
    region = scene.region(52)
    if region is None or region.mask.sum() < 100:
        return []
    grade = int(scene.rng.integers(0, 3))
    wall = region.mask & ~ndimage.binary_erosion(region.mask)
    points, lesion = np.argwhere(wall), None
    for _ in range((5, 14, 32)[grade]):
        at = region.start + points[int(scene.rng.integers(len(points)))]
        box, weight = scene.blob(at, np.array([1, 1, scene.uniform(0.8, 2)]) * scene.uniform(1.6, 3.6), rough=0.15)
        local = scene.labels[box] == 52
        weight *= local & ~ndimage.binary_erosion(local, border_value=1)
        scene.paint(box, 0.75 * weight, scene.uniform(450, 1100), lumps=30)
        lesion = scene.mark(box, weight, Material.CALCIUM, lesion) or lesion
    if not lesion:
        return []
    words = {"severity": ("mild", "moderate", "severe")[grade]}
    return [Finding("aortic_calcification", organ, None, None, 1, "present", (lesion,), words)]


def aortic_aneurysm(scene: Scene, organ: str) -> list[Finding]:
    """A fusiform widening of the infrarenal aorta, often with mural thrombus."""
    region = scene.region(52, margin_mm=40)
    kidneys = scene.around((2, 3))
    if region is None or kidneys is None:
        return []
    levels = np.flatnonzero(region.mask.any(axis=(0, 1)))
    base = region.start[2]
    top = min((kidneys[2].start * 0.6 + kidneys[2].stop * 0.4) - base, levels[-1])
    length = (top - levels[0]) * scene.spacing[2]
    if length < 45:
        return []
    wide = scene.uniform(34, 75)
    half = 0.5 * min(length, scene.uniform(70, 110))
    peak = levels[0] * scene.spacing[2] + length * scene.uniform(0.35, 0.55)
    thrombus = scene.uniform(0, 1) < 0.65
    sac = np.zeros(region.mask.shape, np.float32)
    lumen = np.zeros_like(sac)
    for k in levels[levels <= top]:
        i, j = np.nonzero(region.mask[:, :, k])
        bump = np.cos(0.5 * np.pi * np.clip((k * scene.spacing[2] - peak) / half, -1, 1)) ** 2
        own = float(np.sqrt(len(i) * scene.spacing[0] * scene.spacing[1] / np.pi))
        radius = own + max(wide / 2 - own, 0) * bump
        x = (np.arange(sac.shape[0]) - i.mean())[:, None] * scene.spacing[0]
        y = (np.arange(sac.shape[1]) - j.mean())[None, :] * scene.spacing[1] - 0.75 * (radius - own)
        r = np.hypot(x, y)
        sac[:, :, k] = np.clip((radius - r) / scene.spacing[0] + 0.5, 0, 1)
        inner = own + (radius - own) * (0.25 if thrombus else 0.95)
        lumen[:, :, k] = np.clip((inner - np.hypot(x, y + 0.3 * (radius - inner))) / scene.spacing[0] + 0.5, 0, 1)
    return _paint_aneurysm(scene, region, sac, lumen, wide, thrombus, organ)


def _paint_aneurysm(scene, region, sac, lumen, wide, thrombus, organ) -> list[Finding]:
    tissues = scene.tissues[region.box]
    hard = tissue_is(tissues, Tissue.CORTICAL_BONE, Tissue.CANCELLOUS_BONE, Tissue.DISC, Tissue.CSF, Tissue.SPINAL_CORD)
    hard |= np.isin(scene.labels[region.box], (1, 2, 3, 5, 63))
    sac, lumen = sac * ~hard, lumen * ~hard
    lesion = scene.mark(region.box, sac, Material.BLOOD_CLOT)
    if not lesion:
        return []
    scene.labels[region.box][sac >= 0.5] = 52
    tissues[(lumen >= 0.5) & (sac >= 0.5)] = Tissue.BLOOD_ARTERIAL
    scene.paint(region.box, sac, scene.uniform(28, 48), lumps=4)
    scene.paint(region.box, np.minimum(lumen, sac), scene.hu("BLOOD_ARTERIAL"), lumps=2)
    words = {"location": "infrarenal abdominal aorta", "thrombus": thrombus}
    return [Finding("aortic_aneurysm", organ, None, round(wide, 1), 1, "present", (lesion,), words)]


def aortic_dissection(scene: Scene, organ: str) -> list[Finding]:
    """An intimal flap that winds along the aorta, a false lumen of another density."""
    region = scene.region(52)
    if region is None or scene.contrast.phase not in _ENHANCED or region.mask.sum() < 300:
        return []
    full = scene.uniform(0, 1) < 0.4
    flap, false = np.zeros(region.mask.shape, np.float32), np.zeros(region.mask.shape, np.float32)
    turn, start = scene.uniform(-0.025, 0.025), scene.uniform(0, 2 * np.pi)
    for k in np.flatnonzero(region.mask.any(axis=(0, 1))):
        parts, count = ndimage.label(region.mask[:, :, k])
        for number in range(1, count + 1):
            i, j = np.nonzero(parts == number)
            if not full and count > 1 and j.mean() > np.nonzero(parts)[1].mean():
                continue  # spare the ascending aorta
            angle = start + turn * k * scene.spacing[2]
            off = (i - i.mean()) * scene.spacing[0] * np.cos(angle) + (j - j.mean()) * scene.spacing[1] * np.sin(angle)
            off = off + 2.0 + 0.015 * off**2
            flap[i, j, k] = np.clip(1.3 - np.abs(off) / 1.6, 0, 1)
            false[i, j, k] = np.clip(off / 2, 0, 1)
    lesion = scene.mark(region.box, np.maximum(false, flap * 0.6))
    if not lesion:
        return []
    drop = {"arterial": scene.uniform(50, 160), "ctpa": scene.uniform(40, 110)}.get(
        scene.contrast.phase, scene.uniform(-10, 20)
    )
    scene.paint(region.box, false, scene.hu("BLOOD_ARTERIAL") - drop, lumps=6)
    scene.paint(region.box, 0.75 * flap, 55, lumps=2)
    words = {"type": "Stanford type A" if full else "Stanford type B"}
    return [Finding("aortic_dissection", organ, None, None, 1, "present", (lesion,), words)]


def pulmonary_embolism(scene: Scene, organ: str) -> list[Finding]:
    """Filling defects in opacified pulmonary arteries."""
    if scene.contrast.phase not in ("ctpa", "arterial") or scene.enhanced("BLOOD_PULMONARY") < 120:
        return []
    blood = scene.tissues == Tissue.BLOOD_PULMONARY
    points = np.argwhere(blood)
    if len(points) < 60:
        return []
    lesion = None
    for _ in range(int(scene.rng.integers(2, 6))):
        at = points[int(scene.rng.integers(len(points)))].astype(float)
        box, weight = scene.blob(at, scene.rng.uniform(3.5, 9, 3), rough=0.2)
        weight *= scene.tissues[box] == Tissue.BLOOD_PULMONARY
        lesion = scene.mark(box, weight, Material.BLOOD_CLOT, lesion) or lesion
        scene.paint(box, weight, scene.uniform(45, 75), lumps=4)
    return [Finding("pulmonary_embolism", organ, None, None, 1, "present", (lesion,))] if lesion else []


def mediastinal_lymphadenopathy(scene: Scene, organ: str) -> list[Finding]:
    """Enlarged nodes in the mediastinal fat around trachea, arch and carina."""
    return _nodes(scene, "mediastinal_lymphadenopathy", organ, (16, 52, 62), above=True)


def abdominal_lymphadenopathy(scene: Scene, organ: str) -> list[Finding]:
    """Enlarged retroperitoneal nodes around aorta and cava."""
    return _nodes(scene, "abdominal_lymphadenopathy", organ, (52, 63), above=False)


def _nodes(scene: Scene, name: str, organ: str, ids: tuple[int, ...], above: bool) -> list[Finding]:
    region = scene.region(*ids, margin_mm=22)
    heart, kidneys = scene.around((51,)), scene.around((2, 3))
    if region is None or (heart if above else kidneys) is None:
        return []
    away = ndimage.distance_transform_edt(~region.mask, sampling=scene.spacing)
    rooms = scene.labels[region.box] == 0
    rooms &= tissue_is(scene.tissues[region.box], Tissue.FAT_VISCERAL)
    limit = np.arange(region.box[2].start, region.box[2].stop)
    rooms &= (limit > 0.5 * (heart[2].start + heart[2].stop) if above else limit < kidneys[2].stop)[None, None, :]
    place = Region(region.box, rooms & (away > 2) & (away < 16))
    if place.mask.sum() < 10:
        return []
    value = scene.contrast.hu["LYMPH_NODE"]
    placed, sizes = [], []
    for _ in range(int(scene.rng.integers(2, 8))):
        size = 12 + 22 * scene.uniform(0, 1) ** 1.5
        centre = scene.spot(place, 0.0, away)
        box, weight = scene.blob(centre, size / 2 * np.array([1.0, 0.85, 1.2]), rough=0.08)
        weight *= (scene.labels[box] == 0) & tissue_is(scene.tissues[box], Tissue.FAT_VISCERAL, Tissue.MUSCLE)
        lesion = scene.mark(box, weight, Material.SOLID)
        if lesion:
            scene.paint(box, weight, value + scene.uniform(-8, 8), lumps=4)
            placed.append(lesion)
            sizes.append(size * 0.85)
    if not placed:
        return []
    return [Finding(name, organ, None, round(max(sizes), 1), len(placed), "present", tuple(placed))]


def anasarca(scene: Scene, organ: str) -> list[Finding]:
    """Oedema of the subcutaneous fat: strands and haze, most in the flanks and back."""
    fat = scene.tissues == Tissue.FAT_SUBCUTANEOUS
    if fat.sum() < 1000:
        return []
    field = smooth_field(scene.rng, fat.shape, tuple(scene.spacing), (9.0, 5.0, 14.0))
    rows = np.linspace(1.25, 0.35, fat.shape[1], dtype=np.float32)[None, :, None]
    weight = np.clip((field - 0.1) * 0.8, 0, 1) * rows * fat
    whole = tuple(slice(0, n) for n in fat.shape)
    scene.paint(whole, weight, scene.uniform(60, 110), lumps=0, add=True)
    return [Finding("anasarca", organ, None, None, 1, "present")]
