"""What each tissue measures in Hounsfield units, per contrast phase and per patient.

Unenhanced values and enhancements are radiological ranges (mean, deviation between patients) for about 120 kVp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from medfm_core.errors import InputError
from training.synthetic.tissue import Tissue

PHASES = ("non_contrast", "arterial", "portal_venous", "delayed", "ctpa")
PHASE_WEIGHTS = (0.27, 0.2, 0.33, 0.12, 0.08)
DEFAULT_HU = (40.0, 8.0)

_PLAIN = {
    "AIR_OUTSIDE": (-1000, 2), "SKIN": (5, 15), "FAT_SUBCUTANEOUS": (-106, 5), "FAT_VISCERAL": (-98, 7),
    "MUSCLE": (53, 6), "CORTICAL_BONE": (620, 110), "CANCELLOUS_BONE": (165, 55), "CARTILAGE": (110, 16),
    "DISC": (72, 10), "LUNG": (-884, 26), "AIRWAY": (-1000, 4), "AIRWAY_WALL": (-120, 60), "LUNG_VESSEL": (42, 5),
    "BLOOD_ARTERIAL": (42, 5), "BLOOD_VENOUS": (42, 5), "BLOOD_PORTAL": (42, 5), "BLOOD_PULMONARY": (42, 5),
    "BLOOD_RIGHT_HEART": (42, 5), "MYOCARDIUM": (44, 4), "LIVER": (57, 7), "LIVER_VESSEL": (42, 5), "SPLEEN": (48, 5),
    "KIDNEY_CORTEX": (30, 6), "KIDNEY_MEDULLA": (28, 6), "URINE": (7, 5), "PANCREAS": (37, 8), "ADRENAL": (28, 8),
    "BILE": (7, 6), "BOWEL_WALL": (36, 6), "BOWEL_CONTENT": (18, 12), "BOWEL_GAS": (-950, 25), "STOOL": (-8, 28),
    "STOMACH_WALL": (38, 6), "STOMACH_CONTENT": (22, 15), "STOMACH_GAS": (-965, 20), "BLADDER_WALL": (32, 5),
    "SPINAL_CORD": (33, 4), "CSF": (10, 5), "THYROID": (98, 18), "PROSTATE": (38, 5), "UTERUS": (42, 6),
    "BREAST": (20, 20), "MARROW_FAT": (20, 45), "LYMPH_NODE": (38, 6), "BRAIN": (34, 2), "CYST": (6, 5),
}  # fmt: skip

_BLOOD = (  # enhancement of the blood pools: mean and deviation per phase
    ("BLOOD_ARTERIAL", {"arterial": (305, 75), "portal_venous": (110, 20), "delayed": (62, 14), "ctpa": (190, 80)}),
    ("BLOOD_PULMONARY", {"arterial": (190, 60), "portal_venous": (105, 20), "delayed": (60, 14), "ctpa": (340, 80)}),
    ("BLOOD_RIGHT_HEART", {"arterial": (200, 70), "portal_venous": (105, 20), "delayed": (60, 14), "ctpa": (360, 90)}),
    ("BLOOD_VENOUS", {"arterial": (35, 25), "portal_venous": (95, 22), "delayed": (58, 14), "ctpa": (15, 10)}),
    ("BLOOD_PORTAL", {"arterial": (75, 50), "portal_venous": (132, 24), "delayed": (64, 14), "ctpa": (8, 6)}),
    ("LIVER_VESSEL", {"arterial": (25, 20), "portal_venous": (118, 24), "delayed": (60, 14), "ctpa": (6, 5)}),
    ("SVC", {"arterial": (520, 380), "portal_venous": (105, 22), "delayed": (60, 14), "ctpa": (900, 420)}),
    ("PULMONARY_VEIN", {"arterial": (270, 60), "portal_venous": (108, 20), "delayed": (60, 14), "ctpa": (280, 90)}),
)

_ORGANS = (
    ("LIVER", {"arterial": (14, 8), "portal_venous": (54, 11), "delayed": (36, 8), "ctpa": (3, 2)}),
    ("SPLEEN", {"arterial": (102, 28), "portal_venous": (76, 13), "delayed": (46, 8), "ctpa": (25, 15)}),
    ("KIDNEY_CORTEX", {"arterial": (162, 42), "portal_venous": (150, 25), "delayed": (85, 18), "ctpa": (70, 35)}),
    ("KIDNEY_MEDULLA", {"arterial": (52, 30), "portal_venous": (118, 26), "delayed": (88, 18), "ctpa": (10, 8)}),
    ("PANCREAS", {"arterial": (66, 15), "portal_venous": (52, 11), "delayed": (30, 7), "ctpa": (15, 8)}),
    ("ADRENAL", {"arterial": (48, 14), "portal_venous": (44, 10), "delayed": (25, 7), "ctpa": (12, 6)}),
    ("MYOCARDIUM", {"arterial": (60, 15), "portal_venous": (58, 12), "delayed": (40, 8), "ctpa": (45, 18)}),
    ("THYROID", {"arterial": (90, 25), "portal_venous": (62, 15), "delayed": (40, 10), "ctpa": (60, 25)}),
    ("BOWEL_WALL", {"arterial": (42, 14), "portal_venous": (50, 12), "delayed": (28, 8), "ctpa": (10, 6)}),
    ("STOMACH_WALL", {"arterial": (45, 14), "portal_venous": (46, 12), "delayed": (26, 8), "ctpa": (10, 6)}),
    ("BLADDER_WALL", {"arterial": (12, 6), "portal_venous": (30, 8), "delayed": (28, 8), "ctpa": (4, 3)}),
    ("PROSTATE", {"arterial": (22, 9), "portal_venous": (42, 11), "delayed": (34, 9), "ctpa": (6, 4)}),
    ("UTERUS", {"arterial": (40, 20), "portal_venous": (62, 17), "delayed": (45, 11), "ctpa": (8, 5)}),
    ("MUSCLE", {"arterial": (4, 2), "portal_venous": (11, 3), "delayed": (9, 3), "ctpa": (2, 1)}),
    ("LYMPH_NODE", {"arterial": (20, 8), "portal_venous": (40, 10), "delayed": (28, 8), "ctpa": (10, 5)}),
    ("SPINAL_CORD", {"arterial": (4, 2), "portal_venous": (6, 2), "delayed": (5, 2), "ctpa": (2, 1)}),
    ("CANCELLOUS_BONE", {"arterial": (8, 5), "portal_venous": (15, 6), "delayed": (10, 5), "ctpa": (4, 2)}),
    ("BREAST", {"arterial": (10, 6), "portal_venous": (14, 7), "delayed": (10, 5), "ctpa": (4, 2)}),
    ("AIRWAY_WALL", {"arterial": (20, 6), "portal_venous": (25, 6), "delayed": (15, 5), "ctpa": (15, 5)}),
)
_SHARED = {"LUNG_VESSEL": "BLOOD_PULMONARY", "MUSCLE_BACK": "MUSCLE"}  # enhances as another does


@dataclass(frozen=True)
class Contrast:
    """The drawn values of one patient and phase.

    Args:
        phase: one of `PHASES`.
        hu: mean per tissue name (the members of `Tissue` and pools such as SVC, PULMONARY_VEIN, URINE_PELVIS).
        enhancement: the part of it that contrast medium adds.
        oral: HU of positive oral contrast in stomach and small bowel, or None without.
    """

    phase: str
    hu: Mapping[str, float]
    enhancement: Mapping[str, float]
    oral: float | None

    def shifted(self, shifts: Mapping[str, float]) -> Contrast:
        """The same patient with some tissues changed by so many HU."""
        hu = {name: value + shifts.get(name, 0.0) for name, value in self.hu.items()}
        return replace(self, hu=MappingProxyType(hu))

    def table(self, size: int = 256) -> np.ndarray:
        """Mean HU per tissue code, `(size,)` float32; codes that no tissue has hold plain soft tissue."""
        out = np.full(size, DEFAULT_HU[0], np.float32)
        for tissue in Tissue:
            out[int(tissue)] = self.hu.get(tissue.name, DEFAULT_HU[0])
        return out


def draw_phase(rng: np.random.Generator) -> str:
    """Draw a contrast phase as often as trunk CTs have it."""
    return str(rng.choice(PHASES, p=PHASE_WEIGHTS))


def draw_contrast(rng: np.random.Generator, phase: str) -> Contrast:
    """Draw one patient's tissue values.

    Args:
        rng: source; the same state gives the same patient.
        phase: one of `PHASES`.

    Raises:
        InputError: no such phase.
    """
    if phase not in PHASES:
        raise InputError(f"no contrast phase {phase!r}", f"choose one of {', '.join(PHASES)}")
    plain = {name: _bell(rng, *value) for name, value in _PLAIN.items()}
    _share_blood(plain)
    age = float(np.clip(rng.normal(0.5, 0.22), 0, 1))  # fatty muscle, pancreas and marrow come with it
    plain["MUSCLE"] -= 14 * age * rng.random()
    plain["MUSCLE_BACK"] = plain["MUSCLE"] - 4 - 46 * age * rng.random()
    plain["PANCREAS"] -= 45 * max(age - 0.4, 0)
    plain["CANCELLOUS_BONE"] -= 70 * (age - 0.5)
    strength, common = float(np.clip(rng.normal(1, 0.14), 0.6, 1.4)), rng.normal()
    added = {}
    for name, phases in (*_BLOOD, *_ORGANS):
        mean, deviation = phases.get(phase, (0.0, 0.0))
        drawn = mean + deviation * (0.7 * common + 0.7 * rng.normal())
        added[name] = max(strength * drawn, 0.25 * mean) if mean else 0.0
    added |= {name: added[other] for name, other in _SHARED.items()}
    added["URINE"] = 0.0
    added["URINE_PELVIS"] = _excretion(rng, phase)
    added["URINE_BLADDER"] = added["URINE_PELVIS"] * float(rng.uniform(0.1, 0.7)) if phase == "delayed" else 0.0
    plain |= {"URINE_PELVIS": plain["URINE"], "URINE_BLADDER": plain["URINE"]}
    hu = {name: float(plain.get(name, plain["BLOOD_VENOUS"]) + added.get(name, 0.0)) for name in {**plain, **added}}
    oral = float(rng.uniform(140, 420)) if rng.random() < 0.22 else None
    return Contrast(phase, MappingProxyType(hu), MappingProxyType(added), oral)


def _bell(rng: np.random.Generator, mean: float, deviation: float) -> float:
    return float(mean + deviation * np.clip(rng.normal(), -2.3, 2.3))


def _share_blood(plain: dict[str, float]) -> None:
    """One patient has one haematocrit: every unenhanced pool is the same blood."""
    for name in plain:
        if name.startswith("BLOOD_") or name in ("LIVER_VESSEL", "LUNG_VESSEL"):
            plain[name] = plain["BLOOD_ARTERIAL"]


def _excretion(rng: np.random.Generator, phase: str) -> float:
    """Enhancement of urine in the renal pelvis."""
    if phase == "delayed":
        return float(rng.uniform(250, 900))
    return float(rng.uniform(0, 12)) if phase == "portal_venous" else 0.0
