"""Whether a body is known again when organs are missing: which whole body is its vector nearest to?

Diseases ask what a vector tells of health; this asks whether the vector stays the same body's. The full study and the
one with fewer organs are of the same scan, so a comparison of nothing but the organs that are left finds it every time;
what is asked is how much of that one vector of fixed length keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medfm_core.models.pan_fm import PanFM
from training.evaluation.bootstrap import BootstrapPlan, Estimate, bootstrap
from training.evaluation.encoders import randomised
from training.evaluation.missing_organs.networks import embed
from training.evaluation.missing_organs.parts import StudyPart
from training.evaluation.missing_organs.scenarios import ALL, Scenario

SIDE_BY_SIDE = "all values side by side, missing ones at their mean"
Vectors = Callable[[StudyPart], np.ndarray]


@dataclass(frozen=True)
class Recognition:
    """How often one way of making vectors finds the same body.

    Attributes:
        model: its name.
        scenario: which organs are missing.
        width: numbers per vector.
        share: of the studies whose nearest whole body is their own, mean over seeds, with an interval over subjects.
    """

    model: str
    scenario: str
    width: int
    share: Estimate


def run_recognition(
    train: StudyPart,
    seen: tuple[StudyPart, Sequence[Scenario]],
    arms: Mapping[str, Sequence[PanFM]],
    plan: BootstrapPlan,
) -> list[Recognition]:
    """Look every study of a test split up among the whole ones.

    Vectors are standardised by the training split and compared by their cosine. Studies that lack an organ already are
    left out.

    Args:
        train: what vectors are standardised by.
        seen: the test split, and the scenarios; that of all organs is left out.
        arms: networks by name, one per seed.
        plan: of the intervals.

    Returns:
        One entry per model and scenario; none where no study is whole, or nothing is ever missing.
    """
    test, scenarios = seen
    whole = np.flatnonzero(test.present.all(axis=1))
    scenarios = [scenario for scenario in scenarios if scenario.name != ALL]
    if len(whole) < 2 or not scenarios:
        return []
    part, found = test.take(whole), []
    for name, makers in _makers(train, arms).items():
        standardised = [_standardised(make, train) for make in makers]
        hits = np.array([_hits(make, part, [s.kept[whole] for s in scenarios]) for make in standardised])
        estimates = bootstrap(lambda rows, hits=hits: hits[:, :, rows].mean(axis=(0, 2)), part.subjects, plan)
        width = makers[0](part.take(np.arange(1))).shape[1]
        found += [Recognition(name, s.name, width, share) for s, share in zip(scenarios, estimates, strict=True)]
    return found


def _makers(train: StudyPart, arms: Mapping[str, Sequence[PanFM]]) -> dict[str, list[Vectors]]:
    """Ways of making vectors by name, one per seed."""
    first = next(iter(arms.values()), [])
    networks = {**arms, "random weights": [randomised(model, seed) for seed, model in enumerate(first)]}
    makers: dict[str, list[Vectors]] = {
        name: [lambda part, model=model: embed(model, part) for model in models] for name, models in networks.items()
    }
    mean = np.nanmean(train.flat(), axis=0)
    makers[SIDE_BY_SIDE] = [lambda part: np.where(np.isnan(part.flat()), mean, part.flat())]
    return {name: made for name, made in makers.items() if made}


def _standardised(make: Vectors, train: StudyPart) -> Vectors:
    """The same vectors by mean and deviation of the training split, at length 1."""
    reference = make(train)
    mean, deviation = reference.mean(axis=0), reference.std(axis=0) + 1e-6
    return lambda part: _unit((make(part) - mean) / deviation)


def _hits(make: Vectors, part: StudyPart, kept: Sequence[np.ndarray]) -> np.ndarray:
    """Which studies find themselves in each scenario, `(scenarios, S)` bool; a tie is a miss."""
    whole, found = make(part), []
    for organs in kept:
        alike = make(part.keeping(organs)) @ whole.T
        own = np.diag(alike).copy()
        np.fill_diagonal(alike, -np.inf)
        found.append(own > alike.max(axis=1))
    return np.array(found)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
