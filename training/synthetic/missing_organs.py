"""Which organs of a virtual subject were not imaged: by chance alone, or the more often the more ill the subject is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import expit

from training.synthetic.health import FACTORS, People, calibrate
from training.synthetic.organ_measures import PHYSIOLOGY
from training.synthetic.physique import stream

Mechanism = Literal["none", "mcar", "mnar"]
MECHANISMS = ("none", "mcar", "mnar")


def missing_organs(people: People, organs: Sequence[str], mechanism: Mechanism, rate: float, seed: int) -> np.ndarray:
    """Draw what is missing; of every subject at least one organ is there.

    Args:
        people: the subjects, `S`.
        organs: names of the organs, `O`.
        mechanism: `none`; `mcar`, missing completely at random; `mnar`, missing not at random: the odds grow with the
            severity of the disease of that organ, and with that of the whole body.
        rate: share of the subjects in which an organ is missing, on average.
        seed: of the draws.

    Returns:
        `(S, O)` bool, True where missing.
    """
    draws = stream(seed, "missing organs").random((len(people.age), len(organs)))
    if mechanism == "none" or rate == 0:
        return np.zeros(draws.shape, dtype=bool)
    chance = np.full(draws.shape, rate)
    if mechanism == "mnar":
        for number, name in enumerate(organs):
            odds = 1.2 * severity(people, name) + 0.6 * severity(people)
            chance[:, number] = expit(odds + calibrate(odds, rate))
    missing = draws < chance
    nothing = missing.all(axis=1)
    missing[nothing, (draws - chance).argmax(axis=1)[nothing]] = False
    return missing


def severity(people: People, organ: str | None = None) -> np.ndarray:
    """How ill an organ is, or the whole body, `(S,)` with mean near 0 and deviation near 1."""
    if organ is None:
        return people.factors.mean(axis=1) / people.factors.mean(axis=1).std()
    weights = np.array([PHYSIOLOGY[organ].factors.get(name, 0.0) for name in FACTORS])
    return people.factors @ weights / np.linalg.norm(weights)
