"""Bone: compression fractures and loss of density."""

from __future__ import annotations

import numpy as np

from training.synthetic.lesions.places import level_name
from training.synthetic.lesions.scene import Finding, Scene, tissue_is
from training.synthetic.tissue import Tissue

_LEVELS = (27, 28, 29, 30, 31, 31, 31, 32, 32, 32, 33, 35, 36, 37, 38)  # L5 up to T6, the thoracolumbar ones more often


def vertebral_compression_fracture(scene: Scene, organ: str) -> list[Finding]:
    """One or two vertebral bodies that lost height in front, with a dense band under the broken endplate."""
    found = []
    levels = [n for n in _LEVELS if _body(scene, n) is not None]
    if not levels:
        return []
    wanted = {int(scene.rng.choice(levels)) for _ in range(int(scene.rng.choice([1, 1, 2])))}
    for number in sorted(wanted):
        loss = scene.uniform(0.22, 0.6)
        region, body = _body(scene, number)
        columns = body.any(axis=2)
        top = body.shape[2] - 1 - body[:, :, ::-1].argmax(axis=2)
        height = body.sum(axis=2)
        rows = np.nonzero(columns)[1]
        forward = np.clip((np.arange(body.shape[1]) - rows.min()) / max(np.ptp(rows), 1), 0, 1)[None, :]
        drop = loss * height * (0.25 + 0.75 * forward)  # voxels, most in front
        level = np.arange(body.shape[2])[None, None, :]
        sunk = np.clip(level - (top - drop)[:, :, None] + 0.5, 0, 1) * body
        band = np.clip(1 - np.abs(level - (top - drop - 1.2)[:, :, None]) / 1.6, 0, 1) * body * (1 - sunk)
        lesion = scene.mark(region.box, np.where(body, np.maximum(sunk, band) * 1.0, 0))
        if not lesion:
            continue
        scene.paint(region.box, sunk, scene.hu("DISC"), lumps=5)
        scene.paint(region.box, 0.7 * band, scene.uniform(380, 600), lumps=50)
        scene.labels[region.box][sunk >= 0.5] = 0
        scene.tissues[region.box][sunk >= 0.5] = Tissue.DISC
        name = level_name(number)
        grade = "mild" if loss < 0.28 else "moderate" if loss < 0.42 else "severe"
        words = {
            "location": f"{name} vertebral body",
            "level": name,
            "severity": grade,
            "loss_percent": round(100 * loss),
        }
        certainty = "uncertain" if grade == "mild" and scene.uniform(0, 1) < 0.3 else "present"
        found.append(
            Finding("vertebral_compression_fracture", f"vertebrae_{name}", None, None, 1, certainty, (lesion,), words)
        )
    return found


def _body(scene: Scene, number: int):
    """A vertebra's region and the voxels of its body: in front of the canal; None where it is cut or missing."""
    region = scene.region(number)
    if region is None or region.box[2].start == 0 or region.box[2].stop == scene.labels.shape[2]:
        return None
    bone = region.mask & tissue_is(scene.tissues[region.box], Tissue.CANCELLOUS_BONE, Tissue.CORTICAL_BONE)
    width = bone.sum(axis=(0, 2))
    if bone.sum() < 40 or width.max() == 0:
        return None
    canal = scene.around((79,))
    back = canal[1].stop - region.box[1].start if canal else None
    core = scene.labels[:, :, (region.box[2].start + region.box[2].stop) // 2] == 79
    if core.any():
        back = np.nonzero(core)[1].max() + 1 - region.box[1].start
    elif back is None:
        back = bone.shape[1] // 2
    bone[:, : max(int(back + 4 / scene.spacing[1]), 0)] = False
    return (region, bone) if bone.sum() > 30 else None


def osteopenia(scene: Scene, organ: str) -> list[Finding]:
    """Little trabecular bone: the tissue itself is changed."""
    value = scene.uniform(35, 95)
    scene.shifts["CANCELLOUS_BONE"] = value - scene.contrast.hu["CANCELLOUS_BONE"]
    scene.shifts["CORTICAL_BONE"] = -scene.uniform(40, 170)
    if scene.around(tuple(range(26, 51))) is None:
        return []
    return [Finding("osteopenia", organ, None, None, 1, "present", (), {"hu": round(value)})]
