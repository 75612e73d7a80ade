"""Who will fall ill, and when: the same models and scenarios, with times to events in the place of diagnoses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.impute import SimpleImputer

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import PanFM
from medfm_core.progress import SILENT, Progress
from training.evaluation.bootstrap import BootstrapPlan, Estimate, bootstrap
from training.evaluation.cox_probe import EventRows, fit_cox_probe
from training.evaluation.encoders import randomised
from training.evaluation.missing_organs.baselines import Predictor, Splits
from training.evaluation.missing_organs.concordances import ManyConcordances
from training.evaluation.missing_organs.networks import embed
from training.evaluation.missing_organs.parts import StudyPart

if TYPE_CHECKING:
    from training.evaluation.missing_organs.scenarios import Scenario

KINDS = ("all", "natural", "missing")  # of scenarios


@dataclass(frozen=True)
class IncidentRow:
    """Mean concordance of one model in one scenario.

    Attributes:
        model: its name.
        scenario: its name.
        seeds: how many trainings stand behind it.
        concordance: mean over events and seeds, with an interval over subjects.
        by_event: mean over seeds of each event; None where none can be scored.
        gain: difference to the reference arm on the same subjects; None for the reference itself, or without one.
    """

    model: str
    scenario: str
    seeds: int
    concordance: Estimate
    by_event: Mapping[str, float | None]
    gain: Estimate | None = None


@dataclass(frozen=True)
class IncidentPlan:
    """What is compared: see `StudyConfig`."""

    with_covariates: bool
    reference: str
    bootstrap: BootstrapPlan


def run_incident(
    splits: Splits,
    seen: tuple[StudyPart, Sequence[Scenario]],
    arms: Mapping[str, Sequence[PanFM]],
    plan: IncidentPlan,
    progress: Progress = SILENT,
) -> list[IncidentRow]:
    """Read hazards from frozen vectors, covariates and imputed raw values, and score their order.

    Args:
        splits: learn and choose here.
        seen: the test studies, and the scenarios.
        arms: networks by name, one per seed.
        plan: what is compared.
        progress: advances by one per model.

    Raises:
        InputError: the manifest has no times to events.
    """
    test, scenarios = seen
    if not test.events:
        raise InputError("the manifest has no times to events", "add columns time.NAME and event.NAME, or leave it out")
    jobs = _jobs(splits, arms, plan)
    risks: dict[tuple[str, int], list[np.ndarray]] = {}
    with progress.stage("Times to events", len(jobs)) as stage:
        for name, seed, features in jobs:
            predictor = hazards(splits, features)
            risks[name, seed] = [predictor(test.keeping(scenario.kept)) for scenario in scenarios]
            stage.advance()
    rows = []
    for place, scenario in enumerate(scenarios):
        rows += _score({key: told[place] for key, told in risks.items()}, scenario.name, test, plan)
    return rows


def hazards(splits: Splits, features: Callable[[StudyPart], np.ndarray]) -> Predictor:
    """Proportional hazards on features of studies: from studies to log hazards `(S, D)`."""
    train, val = (EventRows(features(part), part.time, part.event) for part in (splits.train, splits.val))
    probe = fit_cox_probe(train, val)
    return lambda part: probe.predict(features(part))


def _jobs(
    splits: Splits, arms: Mapping[str, Sequence[PanFM]], plan: IncidentPlan
) -> list[tuple[str, int, Callable[[StudyPart], np.ndarray]]]:
    imputer = SimpleImputer(keep_empty_features=True).fit(splits.train.flat())
    jobs: list[tuple[str, int, Callable[[StudyPart], np.ndarray]]] = [
        ("covariates", 0, lambda part: part.covariates),
        ("mean imputation", 0, lambda part: imputer.transform(part.flat())),
    ]
    first = next(iter(arms.values()), [])
    networks = [*arms.items(), ("random weights", [randomised(model, seed) for seed, model in enumerate(first)])]
    for name, models in networks:
        for seed, model in enumerate(models):
            jobs.append((f"{name}, frozen", seed, lambda part, model=model: embed(model, part)))
            if plan.with_covariates:
                jobs.append((f"{name}, frozen + covariates", seed, lambda part, model=model: _beside(model, part)))
    return jobs


def _beside(model: PanFM, part: StudyPart) -> np.ndarray:
    return np.concatenate([embed(model, part), part.covariates], axis=1)


def _score(
    risks: Mapping[tuple[str, int], np.ndarray], scenario: str, test: StudyPart, plan: IncidentPlan
) -> list[IncidentRow]:
    """Score all models of one scenario on the same resamples of the subjects."""
    models = list(dict.fromkeys(name for name, _ in risks))
    counts = np.array([sum(other == name for other, _ in risks) for name in models])
    table = ManyConcordances(test.time, test.event, [risks[key] for name in models for key in risks if key[0] == name])
    starts = np.cumsum([0, *counts[:-1]])
    reference = f"{plan.reference}, frozen"
    base = models.index(reference) if reference in models else None

    def statistic(rows: np.ndarray) -> np.ndarray:
        means = np.add.reduceat(table.means(rows), starts) / counts
        return np.concatenate([means, means - means[base] if base is not None else np.full(len(means), np.nan)])

    estimates = bootstrap(statistic, test.subjects, plan.bootstrap)
    each = np.add.reduceat(table.by_event(np.arange(len(test))), starts, axis=0) / counts[:, None]
    return [
        IncidentRow(
            name, scenario, int(counts[place]), estimates[place],
            {e: round(float(v), 4) if np.isfinite(v) else None for e, v in zip(test.events, each[place], strict=True)},
            estimates[len(models) + place] if base is not None and place != base else None,
        )
        for place, name in enumerate(models)
    ]  # fmt: skip
