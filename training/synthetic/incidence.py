"""When subjects of a virtual whole-body cohort fall ill after the visit, and how long they are followed.

The same health factors that stand behind what is measured raise the hazard of each disease. Who has a disease at the
visit cannot get it later. Nobody dies: there is no competing risk in this world.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from training.synthetic.health import DISEASES, People, log_odds, reference_population
from training.synthetic.physique import stream

SHAPE = 1.4  # of the Weibull hazard: it rises with time
STRENGTH = 0.8  # of the factors in the log hazard, of what they are in the log odds at the visit
WITHIN_YEARS = 8.0
SHARE = 0.6  # so many have fallen ill by then, of what is ill at the visit
FOLLOWED_YEARS = (4.0, 12.0)
LOST_MEAN_YEARS = 40.0


@dataclass(frozen=True, eq=False)
class FollowUp:
    """What is seen of the subjects after the visit.

    Attributes:
        time: years to the diagnosis or to the end of follow-up, `(S, 13)`; NaN for who has the disease at the visit.
        event: 1 for a diagnosis, 0 otherwise, `(S, 13)` int64.
    """

    time: np.ndarray
    event: np.ndarray


def follow_up(people: People, seed: int) -> FollowUp:
    """Draw times to diagnoses, and to the end of follow-up, which does not depend on health.

    Args:
        people: the subjects, `S`; a larger cohort of the same seed begins with the smaller one.
        seed: of the draws.
    """
    count, shape = len(people.age), (len(people.age), len(DISEASES))
    waited = -np.log1p(-stream(seed, "diagnoses").random(shape))
    hazards = _log_hazards(people.age, people.men, people.factors) + _levels()
    years = WITHIN_YEARS * (waited * np.exp(-hazards)) ** (1 / SHAPE)
    ends = stream(seed, "follow-up").random((count, 2))
    planned = FOLLOWED_YEARS[0] + (FOLLOWED_YEARS[1] - FOLLOWED_YEARS[0]) * ends[:, 0]
    followed = np.minimum(planned, -LOST_MEAN_YEARS * np.log1p(-ends[:, 1]))[:, None]
    event = (years <= followed).astype(np.int64)
    time = np.where(people.diseases == 1, np.nan, np.maximum(np.minimum(years, followed), 0.001))
    return FollowUp(time, np.where(people.diseases == 1, 0, event))


@lru_cache(maxsize=1)
def _levels() -> np.ndarray:
    """What to add to the log hazards so that each disease is as frequent as stated, `(13,)`."""
    hazards = _log_hazards(*reference_population())
    levels = []
    for number, disease in enumerate(DISEASES.values()):
        own = hazards[:, number]
        wanted = SHARE * disease.prevalence
        levels.append(brentq(lambda add, own=own, wanted=wanted: _share(own + add) - wanted, -30, 30))
    return np.array(levels)


def _share(hazards: np.ndarray) -> float:
    """Share that has fallen ill after `WITHIN_YEARS`."""
    return float(-np.expm1(-np.exp(hazards)).mean())


def _log_hazards(age: np.ndarray, men: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return STRENGTH * np.stack([log_odds(disease, age, men, factors) for disease in DISEASES.values()], axis=1)
