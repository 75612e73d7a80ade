"""Changes of whole organs: size (made by the physique, measured here), density, surface."""

from __future__ import annotations

import numpy as np

from training.synthetic.lesions.places import organ_ids
from training.synthetic.lesions.scene import Finding, Scene
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue


def _volume(scene: Scene, organ: str) -> tuple[float, float]:
    """Volume mL and craniocaudal length mm of what the scan shows of an organ."""
    region = scene.region(*organ_ids(organ))
    if region is None:
        return 0.0, 0.0
    millilitres = float(region.mask.sum() * np.prod(scene.spacing) / 1000)
    return millilitres, (region.box[2].stop - region.box[2].start) * float(scene.spacing[2])


def _enlarged(name: str, least_ml: float, tissue: Tissue | None = None):
    def place(scene: Scene, organ: str) -> list[Finding]:
        volume, length = _volume(scene, organ)
        if 0.3 * least_ml < volume < 1.06 * least_ml and tissue is not None:  # the neighbours left it too little room
            _grow(scene, organ, tissue, least_ml * scene.uniform(1.08, 1.35))
            volume, length = _volume(scene, organ)
        if volume < least_ml:
            return []
        words = {"severity": "marked" if volume > 1.6 * least_ml else "mild", "volume_ml": round(volume)}
        return [Finding(name, organ, None, round(float(length), 1), 1, "present", (), words)]

    place.__doc__ = f"Report {name} where the organ holds at least {least_ml:.0f} mL."
    return place


def _grow(scene: Scene, organ: str, tissue: Tissue, wanted_ml: float) -> None:
    """Let an organ take the nearest fat and hollow organs until it has a volume; 30 mm at most."""
    heights = scene.around(organ_ids(organ))[2]
    if heights.start == 0 or heights.stop == scene.labels.shape[2]:
        return  # cut by the scan: how much is missing is not known
    region = scene.region(*organ_ids(organ), margin_mm=32)
    labels, tissues = scene.labels[region.box], scene.tissues[region.box]
    soft = np.isin(labels, (6, 18, 19, 20)) | ((labels == 0) & (tissues == Tissue.FAT_VISCERAL))
    away = scene.distance_to(region.mask)
    away += 2 * smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 30.0)
    soft &= away < 30
    missing = int(wanted_ml * 1000 / np.prod(scene.spacing)) - int(region.mask.sum())
    if missing <= 0 or not soft.any():
        return
    edge = np.partition(away[soft], min(missing, int(soft.sum())) - 1)[min(missing, int(soft.sum())) - 1]
    taken = soft & (away <= edge)
    labels[taken] = organ_ids(organ)[0]
    tissues[taken] = tissue
    scene.refresh()


splenomegaly = _enlarged("splenomegaly", 420, Tissue.SPLEEN)
hepatomegaly = _enlarged("hepatomegaly", 2050, Tissue.LIVER)
prostatomegaly = _enlarged("prostatomegaly", 42)


def pancreatic_atrophy(scene: Scene, organ: str) -> list[Finding]:
    """A small gland, streaked with fat."""
    region = scene.region(7)
    if region is None:
        return []
    field = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 5.0)
    weight = np.clip(field * 0.7, 0, 0.75) * region.mask
    scene.paint(region.box, weight, -85, lumps=4)
    return [Finding("pancreatic_atrophy", organ, None, None, 1, "present")]


def hepatic_steatosis(scene: Scene, organ: str) -> list[Finding]:
    """Fat lowers the liver's density; the vessels keep theirs."""
    grade = int(scene.rng.integers(0, 3))
    drop = scene.uniform(*((16, 24), (24, 42), (42, 68))[grade])
    region = scene.region(5)
    if region is None:
        return []
    scene.shifts["LIVER"] = scene.shifts.get("LIVER", 0.0) - drop
    spare = scene.spot(region, 10.0)
    if spare is not None and scene.uniform(0, 1) < 0.3:  # focal sparing
        box, weight = scene.blob(spare, scene.uniform(9, 18), rough=0.3)
        weight *= scene.tissues[box] == Tissue.LIVER
        scene.paint(box, 0.8 * weight, 0.7 * drop, lumps=0, add=True)
    words = {"severity": ("mild", "moderate", "severe")[grade], "hu": round(scene.hu("LIVER"))}
    certainty = "uncertain" if grade == 0 and scene.uniform(0, 1) < 0.3 else "present"
    return [Finding("hepatic_steatosis", organ, None, None, 1, certainty, (), words)]


def cirrhosis(scene: Scene, organ: str) -> list[Finding]:
    """A nodular surface and a coarse parenchyma of a liver that the physique has made small."""
    region = scene.region(5)
    if region is None:
        return []
    depth = scene.depth(region)
    field = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 9.0)
    bite = region.mask & (depth < 2.2 + 2.0 * field) & (scene.tissues[region.box] == Tissue.LIVER)
    scene.labels[region.box][bite] = 0
    scene.tissues[region.box][bite] = Tissue.FAT_VISCERAL
    liver = region.mask & ~bite & (scene.tissues[region.box] == Tissue.LIVER)
    fine = smooth_field(scene.rng, region.mask.shape, tuple(scene.spacing), 5.0)
    scene.paint(region.box, liver * np.float32(1), -6, lumps=0, add=True)
    scene.paint(region.box, np.clip(fine, 0, 1.5) / 1.5 * liver, 16, lumps=0, add=True)
    return [Finding("cirrhosis", organ, None, None, 1, "present", (), {"severity": "nodular"})]
