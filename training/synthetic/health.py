"""Who the subjects of a virtual whole-body cohort are: age, sex, latent health factors, and diseases that follow.

Eight factors stand behind everything that is measured and everything that is diagnosed. They are invented, and so are
all strengths here: what holds in this world says how a method behaves, never how a disease does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from training.synthetic.physique import stream

FACTORS = ("adiposity", "vascular", "metabolic", "hepatic", "renal", "cardiac", "neural", "marrow")
_AGEING = dict(zip(FACTORS, (0.1, 0.5, 0.25, 0.1, 0.4, 0.35, 0.5, 0.15), strict=True))
_MEN = dict(zip(FACTORS, (-0.1, 0.2, 0.15, 0.2, 0.05, 0.15, 0.0, 0.0), strict=True))
_TIES = {("adiposity", "metabolic"): 0.5, ("adiposity", "hepatic"): 0.35, ("metabolic", "vascular"): 0.4,
         ("vascular", "cardiac"): 0.45, ("vascular", "renal"): 0.4, ("vascular", "neural"): 0.3,
         ("hepatic", "marrow"): 0.3, ("metabolic", "hepatic"): 0.35, ("metabolic", "renal"): 0.25}  # fmt: skip
AGE_MEAN, AGE_DEVIATION, AGE_RANGE = 64.0, 7.5, (45.0, 85.0)
SITES = ("north", "south", "west")
_REFERENCE = 20_000


@dataclass(frozen=True)
class Disease:
    """A category of diagnoses.

    Attributes:
        prevalence: share of the subjects that have it.
        factors: weight of each health factor in the log odds.
        age: weight of the age, in deviations.
        men: weight of being a man.
    """

    prevalence: float
    factors: dict[str, float]
    age: float = 0.0
    men: float = 0.0


DISEASES: dict[str, Disease] = {
    "infectious": Disease(0.08, {"marrow": 0.7, "hepatic": 0.4}),
    "neoplasms": Disease(0.16, {"adiposity": 0.2, "marrow": 0.3, "hepatic": 0.3}, 0.4),
    "blood": Disease(0.06, {"marrow": 1.2, "renal": 0.5}, 0.2),
    "endocrine": Disease(0.22, {"metabolic": 1.2, "adiposity": 0.5, "hepatic": 0.3}),
    "mental": Disease(0.10, {"neural": 0.7, "adiposity": 0.2}, -0.2, -0.3),
    "nervous": Disease(0.10, {"neural": 1.2, "vascular": 0.4}, 0.1),
    "eye": Disease(0.12, {"vascular": 0.5, "metabolic": 0.5}, 0.5),
    "circulatory": Disease(0.30, {"vascular": 0.9, "cardiac": 0.9, "renal": 0.2}, 0.2, 0.2),
    "respiratory": Disease(0.14, {"cardiac": 0.4, "adiposity": 0.4, "marrow": 0.2}, 0.0, 0.1),
    "digestive": Disease(0.30, {"hepatic": 0.9, "adiposity": 0.2, "metabolic": 0.2}),
    "skin": Disease(0.10, {"metabolic": 0.3, "marrow": 0.3}),
    "musculoskeletal": Disease(0.28, {"adiposity": 0.5, "neural": 0.2}, 0.3, -0.2),
    "genitourinary": Disease(0.20, {"renal": 1.2, "metabolic": 0.2}, 0.2),
}


@dataclass(frozen=True, eq=False)
class People:
    """Subjects of a cohort.

    Attributes:
        age: in years, `(S,)`.
        men: 1 for men, 0 for women, `(S,)`.
        site: number of the site, `(S,)` int64.
        factors: health factors, deviation about 1 and high where ill, `(S, 8)`.
        diseases: 1 or 0, `(S, 13)` int64.
    """

    age: np.ndarray
    men: np.ndarray
    site: np.ndarray
    factors: np.ndarray
    diseases: np.ndarray


def make_people(count: int, seed: int) -> People:
    """Draw subjects; a larger cohort of the same seed begins with the smaller one.

    Args:
        count: how many, `S`.
        seed: decides who they are.
    """
    age, men, factors = _bodies(count, seed, "people")
    draws = stream(seed, "diseases").random((count, len(DISEASES)))
    odds = np.stack([log_odds(disease, age, men, factors) for disease in DISEASES.values()], axis=1)
    diseases = (draws < expit(odds + intercepts())).astype(np.int64)
    site = stream(seed, "sites").integers(len(SITES), size=count)
    return People(age, men, site, factors, diseases)


@lru_cache(maxsize=1)
def intercepts() -> np.ndarray:
    """Log odds to add to each disease so that it is as frequent as stated, `(13,)`, found on a reference population."""
    age, men, factors = reference_population()
    found = []
    for disease in DISEASES.values():
        odds = log_odds(disease, age, men, factors)
        found.append(calibrate(odds, disease.prevalence))
    return np.array(found)


def calibrate(odds: np.ndarray, share: float) -> float:
    """Find what to add to log odds so that their mean probability is `share`."""
    return float(brentq(lambda add: expit(odds + add).mean() - share, logit(share) - 30, logit(share) + 30))


def _bodies(count: int, seed: int, purpose: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = stream(seed, purpose).standard_normal((count, 2 + len(FACTORS)))
    age = np.clip(AGE_MEAN + AGE_DEVIATION * drawn[:, 0], *AGE_RANGE)
    men = (drawn[:, 1] > 0).astype(np.float64)
    factors = drawn[:, 2:] @ np.linalg.cholesky(_ties()).T
    factors = factors + _deviations(age)[:, None] * np.array([_AGEING[name] for name in FACTORS])
    factors = factors + (men - 0.5)[:, None] * np.array([_MEN[name] for name in FACTORS])
    return age, men, factors


def reference_population() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Age, sex and factors of many subjects, always the same, to find frequencies on."""
    return _bodies(_REFERENCE, 0, "reference population")


def log_odds(disease: Disease, age: np.ndarray, men: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """How far health, age and sex speak for a disease, `(S,)`.

    Args:
        disease: which.
        age: in years, `(S,)`.
        men: 1 for men, `(S,)`.
        factors: `(S, 8)`.
    """
    weights = np.array([disease.factors.get(name, 0.0) for name in FACTORS])
    return factors @ weights + disease.age * _deviations(age) + disease.men * (men - 0.5)


def _deviations(age: np.ndarray) -> np.ndarray:
    return (age - AGE_MEAN) / AGE_DEVIATION


@lru_cache(maxsize=1)
def _ties() -> np.ndarray:
    """Correlations of the factors, `(8, 8)`."""
    table = np.eye(len(FACTORS))
    for (one, other), value in _TIES.items():
        i, j = FACTORS.index(one), FACTORS.index(other)
        table[i, j] = table[j, i] = value
    return table
