"""Who a virtual head belongs to: age, sex, size, and what age has done to the brain."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from medfm_core.errors import InputError
from training.synthetic.physique import stream

YOUNGEST, OLDEST = 20.0, 90.0


@dataclass(frozen=True)
class Person:
    """One person; factors are around 1.

    Attributes:
        sex: `female` or `male`.
        age: years.
        size: linear size of the head.
        width, length, height: of the head's shape, each a factor of its own.
        atrophy: 0 (none) to 1 (severe): wide sulci and ventricles, thin cortex, small hippocampi.
        ventricles: size of the ventricles apart from atrophy.
        white_matter_ml: volume of age-related white matter hyperintensities.
        cortex_mm: thickness of the cortex without atrophy.
        sulcus_mm: width of the sulci without atrophy.
        gyrus_mm: distance from one sulcus to the next but one.
        skull_mm: thickness of the skull.
        scalp_mm: thickness of the scalp.
        tilt_deg: how the head lies, about the axes to the right, front and top.
        shift_mm: the same, along them.
    """

    sex: str = "female"
    age: float = 50.0
    size: float = 1.0
    width: float = 1.0
    length: float = 1.0
    height: float = 1.0
    atrophy: float = 0.1
    ventricles: float = 1.0
    white_matter_ml: float = 0.5
    cortex_mm: float = 2.7
    sulcus_mm: float = 1.0
    gyrus_mm: float = 20.0
    skull_mm: float = 7.0
    scalp_mm: float = 6.0
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


def draw_person(seed: int, **overrides: object) -> Person:
    """Draw a person; a pure function of its arguments.

    Args:
        seed: who.
        overrides: fields of `Person` to fix; what depends on age and sex follows those.

    Raises:
        InputError: an override names no field.
    """
    unknown = set(overrides) - {field.name for field in fields(Person)}
    if unknown:
        raise InputError(f"unknown fields of a person: {', '.join(sorted(unknown))}")
    rng = stream(seed, "person")
    sex = str(overrides.get("sex", "male" if rng.random() < 0.5 else "female"))
    if sex not in ("female", "male"):
        raise InputError(f"the sex {sex!r} is not known", "give female or male")
    age = float(overrides.get("age", rng.uniform(YOUNGEST, OLDEST)))
    if not 0 < age < 120:
        raise InputError(f"an age of {age} years is impossible", f"give {YOUNGEST:.0f} to {OLDEST:.0f}")
    old = float(np.clip((age - 25) / 65, 0, 1))
    person = Person(
        sex=sex,
        age=age,
        size=_bell(rng, 1.02 if sex == "male" else 0.96, 0.022, 0.88, 1.1),
        width=_bell(rng, 1.0, 0.022, 0.94, 1.06),
        length=_bell(rng, 1.0, 0.022, 0.94, 1.06),
        height=_bell(rng, 1.0, 0.022, 0.94, 1.06),
        atrophy=float(np.clip(0.05 + 0.62 * old**1.5 + rng.normal(0, 0.05 + 0.09 * old), 0, 1)),
        ventricles=float(np.clip(np.exp(rng.normal(0, 0.14)), 0.7, 1.4)),
        white_matter_ml=float(np.clip(0.15 * np.exp(4.3 * old**1.4 + rng.normal(0, 0.8)), 0, 45)),
        cortex_mm=_bell(rng, 2.7, 0.12, 2.3, 3.1),
        sulcus_mm=_bell(rng, 1.0, 0.2, 0.5, 1.6),
        gyrus_mm=_bell(rng, 20.0, 1.2, 17, 23),
        skull_mm=_bell(rng, 7.0, 0.9, 5, 10),
        scalp_mm=_bell(rng, 6.0, 1.2, 3.5, 10),
        tilt_deg=tuple(float(angle) for angle in rng.normal(0, 2.5, 3)),
        shift_mm=tuple(float(mm) for mm in rng.normal(0, 2.0, 3)),
    )
    return replace(person, **overrides)


def _bell(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, deviation), low, high))
