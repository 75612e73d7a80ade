"""Physique: the parameters that make one virtual patient differ from the next."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields, replace

import numpy as np

from medfm_core.errors import InputError


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends only on (seed, purpose)."""
    return np.random.default_rng([int(seed) & 0xFFFFFFFF, zlib.crc32(purpose.encode())])


@dataclass(frozen=True)
class Physique:
    """Build, posture, fillings and organ sizes of one patient (lengths mm, volumes mL, factors around 1)."""

    sex: str = "male"
    height: float = 1.0
    chest_width: float = 1.0
    chest_depth: float = 1.0
    abdomen_width: float = 1.0
    abdomen_depth: float = 1.0
    pelvis_width: float = 1.0
    muscle: float = 1.0
    subcutaneous_fat_mm: float = 18.0
    visceral_fat: float = 0.4
    kyphosis: float = 1.0
    lordosis: float = 1.0
    scoliosis_mm: float = 0.0
    pelvic_tilt_deg: float = 0.0
    arms: str = "up"
    lung_inflation: float = 0.5
    liver_ml: float = 1500.0
    spleen_ml: float = 200.0
    kidney_right_ml: float = 160.0
    kidney_left_ml: float = 165.0
    gallbladder_ml: float = 30.0
    pancreas_ml: float = 75.0
    adrenal_ml: float = 4.5
    heart_ml: float = 600.0
    stomach_ml: float = 250.0
    bladder_ml: float = 200.0
    prostate_ml: float = 28.0
    thyroid_ml: float = 16.0
    small_bowel_ml: float = 550.0
    stomach_gas: float = 0.3
    colon_calibre: float = 1.0
    colon_gas: float = 0.4
    colon_stool: float = 0.6
    aorta_calibre: float = 1.0
    aorta_tortuosity: float = 0.3
    vein_calibre: float = 1.0
    vertebra_size: float = 1.0
    left_lobe: float = 1.0
    riedel: float = 0.3
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Draw:
    """Clipped random numbers from one generator."""

    rng: np.random.Generator

    def bell(self, mean: float, sd: float, low: float, high: float) -> float:
        """Normal, clipped."""
        return float(np.clip(self.rng.normal(mean, sd), low, high))

    def tail(self, median: float, spread: float, low: float, high: float) -> float:
        """Log-normal, clipped."""
        return float(np.clip(median * np.exp(self.rng.normal(0, spread)), low, high))


def _organs(draw: _Draw, size: float) -> dict[str, float]:
    """Organ volumes, calibres and fillings; `size` is 1 for men."""
    return {
        "liver_ml": draw.tail(1450 * size, 0.17, 950, 2200),
        "spleen_ml": draw.tail(190, 0.36, 90, 420),
        "kidney_right_ml": draw.tail(155 * size, 0.18, 95, 240),
        "kidney_left_ml": draw.tail(162 * size, 0.18, 95, 250),
        "gallbladder_ml": draw.tail(28, 0.45, 10, 75),
        "pancreas_ml": draw.tail(75, 0.24, 40, 125),
        "adrenal_ml": draw.tail(4.4, 0.2, 2.8, 7),
        "heart_ml": draw.tail(590 * size, 0.18, 400, 900),
        "stomach_ml": draw.tail(230, 0.5, 90, 620),
        "bladder_ml": draw.tail(190, 0.6, 60, 620),
        "prostate_ml": draw.tail(28, 0.35, 15, 70),
        "thyroid_ml": draw.tail(15, 0.3, 7, 32),
        "small_bowel_ml": draw.tail(560, 0.28, 280, 1000),
        "stomach_gas": float(draw.rng.beta(1.2, 2.2)),
        "colon_calibre": draw.tail(1.08, 0.2, 0.7, 1.6),
        "colon_gas": float(draw.rng.beta(1.3, 1.5)),
        "colon_stool": float(draw.rng.beta(1.5, 1.2)),
        "aorta_calibre": draw.tail(1.0, 0.11, 0.78, 1.35),
        "aorta_tortuosity": float(draw.rng.uniform(0, 1)),
        "vein_calibre": draw.tail(1.0, 0.13, 0.72, 1.35),
        "vertebra_size": draw.bell(1.0 if size == 1 else 0.92, 0.05, 0.8, 1.15),
        "left_lobe": draw.tail(1.0, 0.25, 0.5, 1.7),
        "riedel": float(draw.rng.beta(1.2, 2.5)),
    }


def draw_physique(seed: int, **overrides) -> Physique:
    """Draw a patient.

    Args:
        seed: same seed, same patient.
        overrides: any field of `Physique`, fixed instead of drawn.

    Raises:
        InputError: an override names no field.
    """
    known = {f.name for f in fields(Physique)}
    unknown = set(overrides) - known
    if unknown:
        raise InputError(f"unknown physique parameter {sorted(unknown)}; known: {sorted(known)}")
    rng = stream(seed, "physique")
    male = bool(rng.random() < 0.55)
    size = 1.0 if male else 0.94
    corpulence = float(np.clip(rng.normal(0.45, 0.25), 0, 1.1))
    sub = float(np.clip(rng.gamma(3.0, 4.0 + 7.0 * corpulence) * (0.75 if male else 1.15), 5, 60))

    draw = _Draw(rng)
    drawn = Physique(
        sex="male" if male else "female",
        height=draw.bell(size, 0.05, 0.85, 1.15),
        chest_width=draw.bell(size, 0.07, 0.82, 1.2),
        chest_depth=draw.bell(size, 0.10, 0.76, 1.3),
        abdomen_width=draw.bell(1.0 + 0.10 * (corpulence - 0.4), 0.06, 0.85, 1.25),
        abdomen_depth=draw.bell(1.0 + 0.25 * (corpulence - 0.4), 0.09, 0.72, 1.4),
        pelvis_width=draw.bell(1.0 if male else 1.02, 0.05, 0.88, 1.14),
        muscle=draw.bell(1.0 if male else 0.85, 0.16, 0.55, 1.4),
        subcutaneous_fat_mm=sub,
        visceral_fat=float(np.clip(corpulence * (1.0 if male else 0.8) + rng.normal(0, 0.12), 0, 1)),
        kyphosis=draw.bell(1.0, 0.25, 0.4, 1.7),
        lordosis=draw.bell(0.9, 0.3, 0.2, 1.6),
        scoliosis_mm=float(rng.normal(0, 5)),
        pelvic_tilt_deg=draw.bell(0, 6, -13, 13),
        arms=str(rng.choice(["up", "down", "absent"], p=[0.62, 0.28, 0.10])),
        lung_inflation=float(rng.uniform(0.1, 1.0)),
        **_organs(draw, size),
        tilt_deg=tuple(float(v) for v in rng.normal(0, (2.0, 1.2, 3.0))),
    )
    return replace(drawn, **overrides)
