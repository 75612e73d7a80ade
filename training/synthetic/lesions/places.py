"""Words for places inside organs: lobes, poles, segments, levels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from training.synthetic.lesions.scene import LUNGS, Scene

LOBES = {
    10: "left upper lobe",
    11: "left lower lobe",
    12: "right upper lobe",
    13: "right middle lobe",
    14: "right lower lobe",
}
LOBE_ORGANS = {
    10: "lung_upper_lobe_left",
    11: "lung_lower_lobe_left",
    12: "lung_upper_lobe_right",
    13: "lung_middle_lobe_right",
    14: "lung_lower_lobe_right",
}
_LEVELS = (
    "S1",
    "L5",
    "L4",
    "L3",
    "L2",
    "L1",
    *(f"T{n}" for n in range(12, 0, -1)),
    *(f"C{n}" for n in range(7, 0, -1)),
)
_IDS = {
    "spleen": (1,), "kidney_right": (2,), "kidney_left": (3,), "gallbladder": (4,), "liver": (5,), "stomach": (6,),
    "pancreas": (7,), "adrenal_gland_right": (8,), "adrenal_gland_left": (9,), "esophagus": (15,), "trachea": (16,),
    "thyroid_gland": (17,), "small_bowel": (18,), "duodenum": (19,), "colon": (20,), "urinary_bladder": (21,),
    "prostate": (22,), "sacrum": (25,), "heart": (51,), "aorta": (52,), "inferior_vena_cava": (63,), "hip_left": (77,),
    "hip_right": (78,), "femur_left": (75,), "femur_right": (76,), "spinal_cord": (79,), "sternum": (116,),
    "lung_left": LUNGS["left"], "lung_right": LUNGS["right"], "lungs": (10, 11, 12, 13, 14),
    "vertebrae": tuple(range(26, 51)), "kidneys": (2, 3), "bowel": (18, 19, 20),
    **{name: (number,) for number, name in LOBE_ORGANS.items()},
    **{f"vertebrae_{level}": (26 + n,) for n, level in enumerate(_LEVELS)},
}  # fmt: skip


def organ_ids(organ: str) -> tuple[int, ...]:
    """The label ids of an organ or composite by its vocabulary name."""
    return _IDS[organ]


@lru_cache(maxsize=64)
def level_name(number: int) -> str:
    """The level of a vertebra's id: 31 is "L1"."""
    return _LEVELS[number - 26]


def describe(scene: Scene, organ: str, centre) -> dict[str, object]:
    """Where in an organ a scene index lies, as attributes of a finding.

    Args:
        scene: the patient.
        organ: vocabulary name.
        centre: `(3,)` scene index.

    Returns:
        `location` (a noun phrase such as "upper pole", without article) where the organ has named parts.
    """
    region = scene.region(*organ_ids(organ))
    if region is None:
        return {}
    if organ.startswith("kidney"):
        return {"location": scene.third(region, centre, ("lower pole", "interpolar region", "upper pole"))}
    if organ == "liver":
        return liver_segment(scene, centre)
    if organ == "pancreas":
        part = (centre[0] - region.box[0].start) / max(region.box[0].stop - region.box[0].start, 1)
        return {"location": "tail" if part < 0.33 else "body" if part < 0.62 else "head"}
    if organ == "spleen":
        return {"location": scene.third(region, centre, ("lower pole", "midportion", "upper pole"))}
    if organ == "vertebrae":
        number = nearest_label(scene, centre, range(26, 51))
        return {"location": f"{level_name(number)} vertebral body", "level": level_name(number)} if number else {}
    if organ.startswith("lung"):
        number = nearest_label(scene, centre, LOBES)
        return {"location": LOBES[number], "lobe": LOBE_ORGANS[number]} if number else {}
    if organ == "thyroid_gland":
        middle = (region.box[0].start + region.box[0].stop) / 2
        return {"location": "right lobe" if centre[0] > middle else "left lobe"}
    return {}


def liver_segment(scene: Scene, centre) -> dict[str, object]:
    """Couinaud's segment by planes through the cava, the gallbladder and the portal vein."""
    liver = scene.region(5)
    cava, portal, gallbladder = scene.around((63,)), scene.around((64,)), scene.around((4,))
    box = liver.box

    def middle(found, axis: int, otherwise: float) -> float:
        return (found[axis].start + found[axis].stop) / 2 if found else otherwise

    width = box[0].stop - box[0].start
    plane = middle(cava, 0, box[0].start + 0.5 * width)
    plane = 0.5 * (plane + middle(gallbladder, 0, plane))
    upper = centre[2] > middle(portal, 2, (box[2].start + box[2].stop) / 2)
    right = (centre[0] - plane) * scene.spacing[0]
    if right > 0:
        behind = centre[1] < middle(None, 1, (box[1].start + box[1].stop) / 2)
        segment = ("VII" if upper else "VI") if behind else ("VIII" if upper else "V")
    elif right > -28:
        segment = "IVa" if upper else "IVb"
    else:
        segment = "II" if upper else "III"
    return {"location": f"segment {segment}", "lobe": "right lobe" if right > 0 else "left lobe"}


def nearest_label(scene: Scene, centre, ids) -> int:
    """The one of some ids that is nearest to a scene index within 12 mm, 0 where none is."""
    box = scene.box_around(np.asarray(centre, float), 12.0)
    part = scene.labels[box]
    x, y, z = scene.grid_mm(box, centre)
    distance = np.where(np.isin(part, list(ids)), x * x + y * y + z * z, np.inf)
    best = int(np.argmin(distance))
    return int(part.ravel()[best]) if np.isfinite(distance.ravel()[best]) else 0
