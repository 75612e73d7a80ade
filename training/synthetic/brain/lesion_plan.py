"""What is wrong with a head, decided before it is made: the mass of a tumour displaces what is around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.errors import InputError
from training.synthetic.brain.space import Push

PREVALENCE = {"healthy": 0.4, "ms": 0.15, "stroke_acute": 0.15, "stroke_chronic": 0.15, "tumour": 0.15}
KINDS = tuple(PREVALENCE)
TERRITORIES = {  # middle in the standard head, mm; how often; the most that is drawn, mL
    "mca": ((50, -14, 16), 0.48, 160.0),
    "aca": ((9, 22, 42), 0.08, 45.0),
    "pca": ((20, -76, 2), 0.14, 60.0),
    "deep": ((21, -4, 8), 0.16, 4.0),
    "cerebellum": ((26, -64, -38), 0.09, 30.0),
    "brainstem": ((6, -28, -33), 0.05, 1.5),
}
TUMOURS = ("high_grade", "low_grade", "metastasis")


@dataclass(frozen=True)
class LesionPlan:
    """One disease of a head.

    Attributes:
        kind: of `KINDS`.
        side: `left`, `right`, or `both` for what has no side.
        centre: where it is in the standard head, mm.
        volume_ml: how large it shall be: infarct, tumour without oedema, or all plaques.
        variety: vascular territory, or sort of tumour.
        spread: oedema relative to the tumour, or the share of an old infarct that is a cavity.
        push: what its mass displaces, None for nothing.
    """

    kind: str
    side: str = "both"
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    volume_ml: float = 0.0
    variety: str = ""
    spread: float = 0.0
    push: Push | None = None


def plan_lesion(rng: np.random.Generator, kind: str, mass_effect: bool = True) -> LesionPlan:
    """Decide a disease.

    Args:
        rng: source.
        kind: of `KINDS`.
        mass_effect: whether a tumour displaces what is around it, and an old infarct draws it in.

    Raises:
        InputError: the kind is not known.
    """
    if kind not in KINDS:
        raise InputError(f"no such kind of head: {kind}", f"choose from {', '.join(KINDS)}")
    if kind == "healthy":
        return LesionPlan(kind)
    if kind == "ms":
        return LesionPlan(kind, volume_ml=_tail(rng, 6.0, 1.0, 0.4, 55))
    side = "left" if rng.random() < 0.5 else "right"
    sign = -1.0 if side == "left" else 1.0
    if kind == "tumour":
        return _tumour(rng, side, sign, mass_effect)
    return _stroke(rng, kind, side, sign, mass_effect)


def _stroke(rng: np.random.Generator, kind: str, side: str, sign: float, mass_effect: bool) -> LesionPlan:
    names = list(TERRITORIES)
    shares = np.array([TERRITORIES[name][1] for name in names])
    name = str(rng.choice(names, p=shares / shares.sum()))
    middle, _, most = TERRITORIES[name]
    spread = 3.0 if name in ("deep", "brainstem") else 9.0
    away = rng.normal(0, spread, 3)
    centre = (sign * max(abs(middle[0] + away[0]), 5.0), middle[1] + away[1], middle[2] + away[2])
    volume = min(_tail(rng, 0.22 * most, 0.8, min(0.5, 0.2 * most), most), most)
    push = None
    if mass_effect and kind == "stroke_chronic" and volume > 15:
        push = Push(centre, 32.0, -0.14 * min(1.0, volume / 60))
    return LesionPlan(kind, side, centre, volume, name, float(rng.uniform(0.35, 0.8)), push)


def _tumour(rng: np.random.Generator, side: str, sign: float, mass_effect: bool) -> LesionPlan:
    variety = str(rng.choice(TUMOURS, p=(0.45, 0.3, 0.25)))
    centre = (sign * rng.uniform(17, 44), rng.uniform(-64, 42), rng.uniform(-2, 44))
    median = {"high_grade": 22.0, "low_grade": 24.0, "metastasis": 5.0}[variety]
    volume = _tail(rng, median, 0.65, 1.0, 85)
    spread = {"high_grade": rng.uniform(0.6, 2.2), "low_grade": 0.0, "metastasis": rng.uniform(1.0, 5.0)}[variety]
    push = None
    if mass_effect:
        radius = (volume * 1000 * 0.75 / np.pi) ** (1 / 3)
        weight = 0.25 if variety == "low_grade" else 0.45
        push = Push(centre, 1.9 * radius + 12, float(weight * rng.uniform(0.6, 1.0)))
    return LesionPlan("tumour", side, centre, volume, variety, float(spread), push)


def _tail(rng: np.random.Generator, median: float, spread: float, low: float, high: float) -> float:
    return float(np.clip(median * np.exp(rng.normal(0, spread)), low, high))
