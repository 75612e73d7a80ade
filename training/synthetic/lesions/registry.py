"""All kinds of findings that a virtual patient can have, as data, and the drawing and placing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from medfm_core.errors import InputError
from training.synthetic.lesions import abdomen, chest, circulation, diffuse, gut, skeleton
from training.synthetic.lesions.focal import FOCAL, place_focal
from training.synthetic.lesions.places import LOBE_ORGANS, organ_ids
from training.synthetic.lesions.scene import Finding, Scene

_LOBES = tuple(LOBE_ORGANS.values())
_LOWER = ("lung_lower_lobe_left", "lung_lower_lobe_right")
_LUNG_SIDES = ("lung_left", "lung_right")
_KIDNEYS = ("kidney_left", "kidney_right")
_ADRENALS = ("adrenal_gland_left", "adrenal_gland_right")
_BONES = ("vertebrae", "vertebrae", "vertebrae", "hip_left", "hip_right", "sacrum")


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Args:
        name: its key.
        organs: where it can be; one is drawn, sometimes a second one.
        prevalence: probability in a random patient.
        place: puts it into a scene's organ and says what was put.
        physique: ranges of `Physique` fields that make it; a single string fixes the field.
        both: probability that a second organ has it as well.
        excludes: kinds that cannot be in the same patient.
        phases: contrast phases in which it shows; empty for all.
    """

    name: str
    organs: tuple[str, ...]
    prevalence: float
    place: Callable[[Scene, str], list[Finding]]
    physique: Mapping[str, object] = field(default_factory=dict)
    both: float = 0.0
    excludes: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()


def _kinds() -> tuple[Kind, ...]:
    """In the order of placing: what changes shape comes before what lies inside."""
    enhanced = ("arterial", "portal_venous", "delayed", "ctpa")
    table = [
        Kind("absent_gallbladder", ("gallbladder",), 0.08, abdomen.absent_gallbladder,
             excludes=("gallstones", "gallbladder_wall_thickening")),
        Kind("absent_kidney", _KIDNEYS, 0.02, abdomen.absent_kidney),
        Kind("hepatomegaly", ("liver",), 0.05, diffuse.hepatomegaly, {"liver_ml": (2300, 3300)},
             excludes=("cirrhosis",)),
        Kind("cirrhosis", ("liver",), 0.05, diffuse.cirrhosis, {"liver_ml": (850, 1200), "left_lobe": (1.3, 1.7)}),
        Kind("splenomegaly", ("spleen",), 0.07, diffuse.splenomegaly, {"spleen_ml": (520, 1300)}),
        Kind("cardiomegaly", ("heart",), 0.08, circulation.cardiomegaly, {"heart_ml": (950, 1350)}),
        Kind("prostatomegaly", ("prostate",), 0.08, diffuse.prostatomegaly, {"sex": "male", "prostate_ml": (55, 130)}),
        Kind("pancreatic_atrophy", ("pancreas",), 0.06, diffuse.pancreatic_atrophy, {"pancreas_ml": (24, 38)},
             excludes=("pancreatic_mass",)),
        Kind("small_bowel_obstruction", ("small_bowel",), 0.04, gut.small_bowel_obstruction,
             {"small_bowel_ml": (900, 1000)}),
        Kind("fecal_loading", ("colon",), 0.05, gut.fecal_loading,
             {"colon_stool": (0.92, 1.0), "colon_gas": (0.05, 0.2), "colon_calibre": (1.1, 1.4)}),
        Kind("pneumothorax", _LUNG_SIDES, 0.03, chest.pneumothorax, excludes=("pleural_effusion",)),
        Kind("pericardial_effusion", ("heart",), 0.06, circulation.pericardial_effusion),
        Kind("pleural_effusion", _LUNG_SIDES, 0.13, chest.pleural_effusion, both=0.4),
        Kind("hiatal_hernia", ("esophagus",), 0.06, gut.hiatal_hernia),
        Kind("aortic_aneurysm", ("aorta",), 0.05, circulation.aortic_aneurysm, excludes=("aortic_dissection",)),
        Kind("aortic_dissection", ("aorta",), 0.03, circulation.aortic_dissection, phases=enhanced),
        Kind("hydronephrosis", _KIDNEYS, 0.07, abdomen.hydronephrosis, both=0.2, excludes=("absent_kidney",)),
        Kind("biliary_dilatation", ("liver",), 0.05, abdomen.biliary_dilatation),
        Kind("pancreatic_duct_dilatation", ("pancreas",), 0.05, abdomen.pancreatic_duct_dilatation),
        Kind("gallbladder_wall_thickening", ("gallbladder",), 0.05, abdomen.gallbladder_wall_thickening),
        Kind("bladder_wall_thickening", ("urinary_bladder",), 0.05, abdomen.bladder_wall_thickening),
        Kind("hepatic_steatosis", ("liver",), 0.14, diffuse.hepatic_steatosis),
        Kind("osteopenia", ("vertebrae",), 0.09, skeleton.osteopenia),
        Kind("vertebral_compression_fracture", ("vertebrae",), 0.07, skeleton.vertebral_compression_fracture),
        Kind("pulmonary_fibrosis", ("lungs",), 0.04, chest.pulmonary_fibrosis, excludes=("emphysema",)),
        Kind("emphysema", ("lungs",), 0.08, chest.emphysema),
        Kind("consolidation", _LOBES, 0.08, chest.consolidation, both=0.25),
        Kind("ground_glass_opacity", _LOBES, 0.08, chest.ground_glass, both=0.45),
        Kind("atelectasis", _LOWER, 0.13, chest.atelectasis, both=0.4),
        Kind("bronchiectasis", _LOBES, 0.04, chest.bronchiectasis, both=0.2),
        Kind("lung_mass", _LOBES, 0.04, chest.lung_mass),
        Kind("lung_nodule", _LOBES, 0.15, chest.lung_nodule, both=0.25),
        Kind("mediastinal_lymphadenopathy", ("lungs",), 0.07, circulation.mediastinal_lymphadenopathy),
        Kind("abdominal_lymphadenopathy", ("aorta",), 0.06, circulation.abdominal_lymphadenopathy),
        Kind("pulmonary_embolism", ("lungs",), 0.05, circulation.pulmonary_embolism, phases=("ctpa", "arterial")),
        Kind("coronary_calcification", ("heart",), 0.14, circulation.coronary_calcification),
        Kind("aortic_valve_calcification", ("heart",), 0.05, circulation.aortic_valve_calcification),
        Kind("aortic_calcification", ("aorta",), 0.17, circulation.aortic_calcification),
        Kind("ascites", ("bowel",), 0.08, abdomen.ascites, {"visceral_fat": (0.6, 1.0)}),
        Kind("free_air", ("bowel",), 0.03, abdomen.free_air, {"visceral_fat": (0.5, 1.0)}),
        Kind("diverticulosis", ("colon",), 0.07, gut.diverticulosis),
        Kind("anasarca", ("gluteal_muscles",), 0.04, circulation.anasarca),
        _focal("renal_cyst", _KIDNEYS, 0.16, 0.3), _focal("renal_mass", _KIDNEYS, 0.05),
        _focal("kidney_stone", _KIDNEYS, 0.09, 0.25), _focal("hepatic_cyst", ("liver",), 0.13),
        _focal("liver_metastases", ("liver",), 0.08), _focal("hypervascular_liver_mass", ("liver",), 0.04),
        _focal("hepatic_hemangioma", ("liver",), 0.05), _focal("splenic_lesion", ("spleen",), 0.05),
        _focal("splenic_granuloma", ("spleen",), 0.04), _focal("pancreatic_mass", ("pancreas",), 0.05),
        _focal("pancreatic_cyst", ("pancreas",), 0.04), _focal("adrenal_nodule", _ADRENALS, 0.07, 0.15),
        _focal("thyroid_nodule", ("thyroid_gland",), 0.07), _focal("gallstones", ("gallbladder",), 0.1),
        _focal("bladder_stone", ("urinary_bladder",), 0.03),
        _focal("prostate_calcification", ("prostate",), 0.05, physique={"sex": "male"}),
        _focal("sclerotic_bone_metastasis", _BONES, 0.05, excludes=("lytic_bone_metastasis",)),
        _focal("lytic_bone_metastasis", _BONES, 0.04),
    ]  # fmt: skip
    return tuple(table)


def _focal(name: str, organs: tuple[str, ...], prevalence: float, both: float = 0.0, **more) -> Kind:
    def place(scene: Scene, organ: str) -> list[Finding]:
        return place_focal(scene, name, organ)

    return Kind(name, organs, prevalence, place, both=both, **more)


KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _kinds()})
NORMAL_LIMITS: dict[str, tuple[float, float]] = {  # a patient without the finding does not look as if there were one
    "liver_ml": (1000, 1850), "spleen_ml": (90, 330), "heart_ml": (400, 780), "prostate_ml": (15, 36),
    "pancreas_ml": (48, 125), "small_bowel_ml": (280, 950), "colon_stool": (0.0, 0.85),
}  # fmt: skip


def draw_kinds(
    rng: np.random.Generator, findings: str | Sequence[str], prevalence: float = 1.0
) -> list[tuple[Kind, tuple[str, ...]]]:
    """Decide what a patient has and where.

    Args:
        rng: source.
        findings: "random", or the names of the kinds (an empty sequence for a healthy patient).
        prevalence: factor on every kind's probability in a random patient.

    Returns:
        Kinds in the order of placing, each with its one or two organs.

    Raises:
        InputError: a name that is no kind.
    """
    if isinstance(findings, str):
        if findings != "random":
            raise InputError(f"no findings {findings!r}", 'give "random" or a sequence of kinds')
        wanted = [kind for kind in KINDS.values() if rng.random() < kind.prevalence * prevalence]
    else:
        unknown = [name for name in findings if name not in KINDS]
        if unknown:
            raise InputError(f"no such finding: {', '.join(unknown)}", f"choose from {', '.join(sorted(KINDS))}")
        wanted = [kind for kind in KINDS.values() if kind.name in findings]
    excluded, out = set(), []
    for kind in wanted:
        if kind.name in excluded:
            continue
        excluded |= set(kind.excludes)
        order = [kind.organs[i] for i in rng.permutation(len(kind.organs))]
        different = list(dict.fromkeys(order))
        out.append((kind, tuple(different[: 2 if rng.random() < kind.both else 1])))
    return out


def physique_for(rng: np.random.Generator, kinds: Sequence[Kind], drawn: Mapping[str, object]) -> dict[str, object]:
    """The physique's overrides: what the findings ask for, and normal limits for what none asks for.

    Args:
        rng: source.
        kinds: the patient's kinds.
        drawn: the physique as drawn from the seed.
    """
    out: dict[str, object] = {}
    for name, (low, high) in NORMAL_LIMITS.items():
        out[name] = float(np.clip(float(drawn[name]), low, high))
    for kind in kinds:
        for name, wanted in kind.physique.items():
            if name not in drawn:
                continue
            out[name] = wanted if isinstance(wanted, str) else float(rng.uniform(*wanted))
    return out


def place_kinds(scene: Scene, kinds: Sequence[tuple[Kind, tuple[str, ...]]]) -> list[Finding]:
    """Place the findings that fit into the scan; one whose first organ has no room tries its other organs.

    Args:
        scene: the patient; changed.
        kinds: as drawn.

    Returns:
        The findings, in order of placing.
    """
    found: list[Finding] = []
    for kind, organs in kinds:
        if kind.phases and scene.contrast.phase not in kind.phases:
            continue
        others = [organ for organ in kind.organs if organ not in organs]
        for organ in organs:
            placed = kind.place(scene, organ)
            if not placed and organ == organs[0]:
                placed = next((p for p in (kind.place(scene, other) for other in dict.fromkeys(others)) if p), [])
            found += placed
    return found


def in_scan(scene: Scene, organ: str) -> bool:
    """Whether any of an organ is in the scan."""
    try:
        ids = organ_ids(organ)
    except KeyError:
        return True
    return scene.around(ids) is not None


__all__ = ["FOCAL", "KINDS", "Kind", "draw_kinds", "in_scan", "physique_for", "place_kinds"]
