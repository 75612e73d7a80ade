"""Stomach and bowel: hiatal hernia, obstruction, diverticula, stool."""

from __future__ import annotations

import numpy as np

from training.synthetic.lesions.scene import Finding, Region, Scene, tissue_is
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue


def small_bowel_obstruction(scene: Scene, organ: str) -> list[Finding]:
    """Loops of the small bowel blown up to 3 to 5 cm, full of fluid with gas on top."""
    region = scene.region(18, margin_mm=30)
    if region is None or region.mask.sum() * np.prod(scene.spacing) < 60_000:
        return []
    width, box = scene.uniform(31, 50), region.box
    labels, tissues = scene.labels[box], scene.tissues[box]
    room = (labels == 18) | ((labels == 0) & (tissues == Tissue.FAT_VISCERAL))
    room &= scene.distance_to(region.mask) < 22
    wall, lumen = np.zeros(room.shape, np.float32), np.zeros(room.shape, np.float32)
    gas = np.zeros(room.shape, np.float32)
    for start, stop in _chain(scene, region, 0.8 * width):
        reach, level = _sausage(scene, box, start, stop, width / 2, scene.uniform(-0.2, 0.8))
        np.maximum(wall, reach * room, out=wall)
        inner, _ = _sausage(scene, box, start, stop, width / 2 - 2.5, 0)
        np.maximum(lumen, inner * room, out=lumen)
        np.maximum(gas, inner * room * level, out=gas)
    lesion = scene.mark(box, wall, Tissue.BOWEL_WALL)
    if not lesion:
        return []
    labels[wall >= 0.5] = 18
    tissues[lumen >= 0.5] = Tissue.BOWEL_CONTENT
    tissues[gas >= 0.5] = Tissue.BOWEL_GAS
    scene.paint(box, wall, scene.hu("BOWEL_WALL"), lumps=4)
    scene.paint(box, lumen, scene.uniform(4, 22), lumps=5)
    scene.paint(box, gas, -960, lumps=4)
    words = {"severity": "marked" if width > 40 else "moderate"}
    return [Finding("small_bowel_obstruction", organ, None, round(width, 1), 1, "present", (lesion,), words)]


def _chain(scene: Scene, region: Region, step_mm: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pieces of wide loops: points of the bowel a step apart, each joined to the nearest one before it."""
    points = region.start + np.argwhere(region.mask)
    points = points[scene.rng.permutation(len(points))[:400]]
    chosen = [points[0]]
    for point in points[1:]:
        away = np.linalg.norm((np.array(chosen) - point) * scene.spacing, axis=1)
        if away.min() > step_mm and len(chosen) < 14:
            chosen.append(point)
    out = []
    for n in range(1, len(chosen)):
        away = np.linalg.norm((np.array(chosen[:n]) - chosen[n]) * scene.spacing, axis=1)
        if away.min() < 3 * step_mm:
            out.append((chosen[int(away.argmin())], chosen[n]))
    return out


def _sausage(scene: Scene, box, start, stop, radius: float, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a capsule between two scene indices, and of what lies above `level` radii in front of its axis."""
    x, y, z = scene.grid_mm(box, start)
    axis = (np.asarray(stop, float) - start) * scene.spacing
    t = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) / max(float(axis @ axis), 1e-6), 0, 1)
    r = np.sqrt((x - t * axis[0]) ** 2 + (y - t * axis[1]) ** 2 + (z - t * axis[2]) ** 2)
    size = float(scene.spacing.mean())
    height = max(0.0, axis[1]) + level * radius
    return np.clip((radius - r) / size + 0.5, 0, 1), np.clip((y - height) / size + 0.5, 0, 1)


def diverticulosis(scene: Scene, organ: str) -> list[Finding]:
    """Small gas-filled pouches on the left colon."""
    region = scene.region(20, margin_mm=8)
    if region is None:
        return []
    away = scene.distance_to(region.mask)
    rim = (away > 0) & (away <= max(4.0, 1.1 * scene.spacing.max()))
    rim &= scene.tissues[region.box] == Tissue.FAT_VISCERAL
    rim[int(0.55 * rim.shape[0]) :] = False  # the patient's left
    rim[..., int(0.6 * rim.shape[2]) :] = False
    spots = np.argwhere(rim)
    if len(spots) < 30:
        return []
    lesion, count = None, int(scene.rng.integers(8, 30))
    for index in scene.rng.choice(len(spots), min(count, len(spots)), replace=False):
        box, weight = scene.blob(region.start + spots[index], scene.uniform(2.2, 4.2), rough=0.1)
        weight *= scene.labels[box] == 0
        scene.paint(box, weight, 30, lumps=4)
        scene.paint(box, np.clip(weight * 2.2 - 1.2, 0, 1), -880, lumps=20)
        lesion = scene.mark(box, weight, None, lesion) or lesion
    return [Finding("diverticulosis", organ, None, None, count, "present", (lesion,))] if lesion else []


def hiatal_hernia(scene: Scene, organ: str) -> list[Finding]:
    """A part of the stomach above the diaphragm, behind the heart."""
    gullet, liver = scene.region(15), scene.around((5,))
    if gullet is None or liver is None:
        return []
    size = 22 + 50 * scene.uniform(0, 1) ** 1.5
    level = liver[2].stop - 1 + int(0.15 * size / scene.spacing[2]) - int(28 / scene.spacing[2])
    k = int(np.clip(level, gullet.box[2].start, gullet.box[2].stop - 1)) - gullet.box[2].start
    slab = np.argwhere(gullet.mask[:, :, max(k - 2, 0) : k + 3])
    if not len(slab):
        return []
    centre = gullet.start + np.array([*slab.mean(axis=0)[:2], k])
    box, weight = scene.blob(centre, np.array([0.55, 0.45, 0.5]) * size, rough=0.1)
    soft = np.isin(scene.labels[box], (0, 10, 11, 13, 14, 15)) & tissue_is(
        scene.tissues[box], Tissue.FAT_VISCERAL, Tissue.LUNG, Tissue.LUNG_VESSEL, Tissue.BOWEL_WALL, Tissue.MUSCLE
    )
    weight *= soft
    lesion = scene.mark(box, weight, Tissue.STOMACH_WALL)
    if not lesion:
        return []
    inside = np.clip((weight - 0.5) * 2, 0, 1) * scene.blob_core(box, centre, np.array([0.43, 0.33, 0.38]) * size)
    scene.labels[box][weight >= 0.5] = 6
    scene.tissues[box][inside > 0.5] = Tissue.STOMACH_CONTENT
    scene.paint(box, weight, scene.hu("STOMACH_WALL"), lumps=5)
    scene.paint(box, inside, scene.uniform(0, 40), lumps=15)
    _, front, _ = scene.grid_mm(box, centre)
    scene.paint(box, inside * (front > scene.uniform(-0.1, 0.25) * size), -960, lumps=5)
    severity = "small" if size < 38 else "moderate" if size < 55 else "large"
    return [Finding("hiatal_hernia", organ, None, round(size, 1), 1, "present", (lesion,), {"severity": severity})]


def fecal_loading(scene: Scene, organ: str) -> list[Finding]:
    """Stool in place of nearly all gas and fluid of a colon that the physique has widened."""
    region = scene.region(20)
    if region is None or region.mask.sum() * np.prod(scene.spacing) < 60_000:
        return []
    tissues = scene.tissues[region.box]
    lumen = region.mask & tissue_is(tissues, Tissue.BOWEL_GAS, Tissue.BOWEL_CONTENT, Tissue.STOOL)
    field = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 16.0)
    tissues[lumen & (field < 1.3)] = Tissue.STOOL
    return [Finding("fecal_loading", organ, None, None, 1, "present")] if lumen.sum() > 20 else []
