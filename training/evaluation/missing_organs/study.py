"""The study: every model reads 13 diseases from whichever organs a scenario leaves, over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import PanFM
from medfm_core.progress import SILENT, Progress
from training.evaluation.bootstrap import BootstrapPlan, Estimate, bootstrap
from training.evaluation.encoders import randomised
from training.evaluation.missing_organs.auroc import ManyAurocs
from training.evaluation.missing_organs.baselines import (
    Predictor,
    Splits,
    complete_cases,
    covariates_only,
    imputation,
    late_fusion,
    single_organs,
)
from training.evaluation.missing_organs.incident import KINDS as INCIDENT_KINDS
from training.evaluation.missing_organs.incident import IncidentPlan, IncidentRow, run_incident
from training.evaluation.missing_organs.networks import FineTuning, attention_of, fine_tuned, frozen_probe
from training.evaluation.missing_organs.parts import StudyPart
from training.evaluation.missing_organs.recognition import Recognition, run_recognition
from training.evaluation.missing_organs.scenarios import KINDS, Scenario, make_scenarios

BASELINES = ("covariates", "mean imputation", "kNN imputation", "complete cases", "single organ", "late fusion")
Said = dict[tuple[str, int], list[np.ndarray]]


@dataclass(frozen=True)
class StudyConfig:
    """What is compared.

    Attributes:
        scenarios: kinds of scenarios, of `scenarios.KINDS`.
        baselines: which of `BASELINES`.
        fine_tune: arms whose networks are also trained on; `random weights` begins from nothing, with and without organ
            dropout.
        fine_tuning: how.
        with_covariates: also read diseases from vectors and covariates together.
        reference: arm with which the others are compared.
        plan: of the intervals.
        seed: of the organs that scenarios take.
        incident: also read when diseases will come, where the manifest has times to events.
        recognise: also ask whether bodies are known again when organs are missing.
    """

    scenarios: tuple[str, ...] = KINDS
    baselines: tuple[str, ...] = BASELINES
    fine_tune: tuple[str, ...] = ()
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    with_covariates: bool = True
    reference: str = "random"
    plan: BootstrapPlan = field(default_factory=lambda: BootstrapPlan(400, method="percentile"))
    seed: int = 0
    incident: bool = False
    recognise: bool = False

    def __post_init__(self) -> None:
        for given, known, word in ((self.scenarios, KINDS, "scenario"), (self.baselines, BASELINES, "baseline")):
            wrong = [name for name in given if name not in known]
            if wrong:
                raise InputError(f"no {word} is called {wrong[0]!r}", f"choose from {', '.join(known)}")


@dataclass(frozen=True)
class Row:
    """Mean AUROC of one model in one scenario.

    Attributes:
        model: its name.
        scenario: its name.
        seeds: how many trainings stand behind it.
        auroc: mean over diseases and seeds, with an interval over subjects.
        by_seed: mean over diseases of each seed; None where none can be scored.
        by_disease: mean over seeds of each disease.
        gain: difference to the reference arm on the same subjects; None for the reference itself, or without one.
    """

    model: str
    scenario: str
    seeds: int
    auroc: Estimate
    by_seed: tuple[float | None, ...]
    by_disease: Mapping[str, float | None]
    gain: Estimate | None = None


@dataclass(frozen=True)
class StudyResult:
    """What was found.

    Attributes:
        rows: all figures.
        attention: by arm: organ shares by sum and per token, and entropies, one entry per seed.
        informativeness: by organ, how far the mean AUROC of that organ alone is above chance, as shares of sum 1; empty
            where single organs were not among the baselines.
        facts: how many studies, diseases, and so on.
        incident: figures of times to events; empty where they were not asked for.
        recognised: whether bodies are known again; empty where it was not asked for.
    """

    rows: tuple[Row, ...]
    attention: Mapping[str, Any]
    informativeness: Mapping[str, float]
    facts: Mapping[str, Any]
    incident: tuple[IncidentRow, ...] = ()
    recognised: tuple[Recognition, ...] = ()


def run_study(
    parts: Mapping[str, StudyPart],
    arms: Mapping[str, Sequence[PanFM]],
    config: StudyConfig,
    progress: Progress = SILENT,
) -> StudyResult:
    """Compare arms with each other and with baselines.

    Args:
        parts: splits train, val and test.
        arms: networks by name, one per seed.
        config: what is compared.
        progress: advances by one per model.

    Raises:
        InputError: no arm is given, a fine-tuned arm is not among them, or there are no times to events to read.
    """
    for name in config.fine_tune:
        if name not in arms and name != "random weights":
            raise InputError(f"the arm {name!r} cannot be fine-tuned: there is no such arm", "name a trained arm")
    splits, test = Splits(parts["train"], parts["val"]), parts["test"]
    scenarios = make_scenarios(test.present, test.would_miss, test.names, config.scenarios, config.seed)
    incident = _incident(splits, test, arms, config, progress) if config.incident else []
    recognised = run_recognition(splits.train, (test, scenarios), arms, config.plan) if config.recognise else []
    said: Said = {}
    singles = _run_baselines(config, splits, (test, scenarios), said, progress)
    _run_arms(arms, config, splits, (test, scenarios), said, progress)
    rows = _score(said, scenarios, test, config)
    attention = {name: [attention_of(model, test) for model in models] for name, models in arms.items()}
    facts = {
        "studies": {name: len(part) for name, part in parts.items()},
        "diseases": {n: int((test.labels[:, i] == 1).sum()) for i, n in enumerate(test.diseases)},
        "organs": list(test.names),
        "present_in_training": dict(zip(test.names, splits.train.present.mean(axis=0).round(4).tolist(), strict=True)),
        "seeds": {name: len(models) for name, models in arms.items()},
    }
    informative = _informativeness(singles, test)
    return StudyResult(tuple(rows), attention, informative, facts, tuple(incident), tuple(recognised))


def _incident(
    splits: Splits, test: StudyPart, arms: Mapping[str, Sequence[PanFM]], config: StudyConfig, progress: Progress
) -> list[IncidentRow]:
    kinds = [kind for kind in config.scenarios if kind in INCIDENT_KINDS] or INCIDENT_KINDS[:1]
    scenarios = make_scenarios(test.present, test.would_miss, test.names, kinds, config.seed)
    plan = IncidentPlan(config.with_covariates, config.reference, config.plan)
    return run_incident(splits, (test, scenarios), arms, plan, progress)


def _run_baselines(
    config: StudyConfig, splits: Splits, seen: tuple[StudyPart, list[Scenario]], said: Said, progress: Progress
) -> dict[str, Predictor]:
    wanted = config.baselines
    singles: dict[str, Predictor] = {}
    with progress.stage("Baselines", len(wanted)) as stage:
        if "single organ" in wanted or "late fusion" in wanted:
            singles = single_organs(splits)
        for name in wanted:
            made: dict[str, Predictor | None] = {}
            if name == "single organ":
                made = {f"{organ}, one organ": predictor for organ, predictor in singles.items()}
            elif name == "late fusion":
                made = {name: late_fusion(list(singles.values()))}
            elif name == "covariates":
                made = {name: covariates_only(splits)}
            elif name == "complete cases":
                made = {name: complete_cases(splits)}
            else:
                made = {name: imputation(splits, name.split(" ")[0].lower())}
            for label, predictor in made.items():
                if predictor is not None:
                    said[label, 0] = _ask(predictor, *seen)
            stage.advance()
    return singles


def _run_arms(
    arms: Mapping[str, Sequence[PanFM]], config: StudyConfig, splits: Splits, seen: tuple[StudyPart, list[Scenario]],
    said: Said, progress: Progress,
) -> None:  # fmt: skip
    jobs = [(name, seed, model) for name, models in arms.items() for seed, model in enumerate(models)]
    first = next(iter(arms.values()), [])
    jobs += [("random weights", seed, randomised(model, seed)) for seed, model in enumerate(first)]
    with progress.stage("Networks", len(jobs)) as stage:
        for name, seed, model in jobs:
            said[f"{name}, frozen", seed] = _ask(frozen_probe(model, splits), *seen)
            if config.with_covariates:
                said[f"{name}, frozen + covariates", seed] = _ask(frozen_probe(model, splits, True), *seen)
            if name in config.fine_tune:
                for label, how in _fine_tunings(name, config, seed):
                    said[label, seed] = _ask(fine_tuned(model, splits, how), *seen)
            stage.advance()


def _fine_tunings(name: str, config: StudyConfig, seed: int) -> list[tuple[str, FineTuning]]:
    how = replace(config.fine_tuning, seed=config.fine_tuning.seed + seed)
    if name != "random weights":
        return [(f"{name}, fine-tuned", how)]
    return [("supervised, modality dropout", how), ("supervised, no dropout", replace(how, organ_dropout=0.0))]


def _ask(predictor: Predictor, test: StudyPart, scenarios: list[Scenario]) -> list[np.ndarray]:
    return [predictor(test.keeping(scenario.kept)) for scenario in scenarios]


def _score(said: Said, scenarios: list[Scenario], test: StudyPart, config: StudyConfig) -> list[Row]:
    """Score everything on the same resamples of the subjects."""
    models = list(dict.fromkeys(name for name, _ in said))
    seeds = {name: [seed for other, seed in said if other == name] for name in models}
    keys = [(name, place) for name in models for place in range(len(scenarios))]
    flat = [said[name, seed][place] for name, place in keys for seed in seeds[name]]
    bounds = np.cumsum([0, *(len(seeds[name]) for name, _ in keys)])
    table, everyone = ManyAurocs(test.labels, flat), np.arange(len(test))
    reference = f"{config.reference}, frozen"
    base = np.array([keys.index((reference, place)) if reference in models else -1 for _, place in keys])

    def statistic(rows: np.ndarray) -> np.ndarray:
        means = np.add.reduceat(table.means(rows), bounds[:-1]) / np.diff(bounds)
        return np.concatenate([means, np.where(base >= 0, means - means[base], np.nan)])

    estimates = bootstrap(statistic, test.subjects, config.plan)
    each, means = table.by_label(everyone), table.means(everyone)
    rows = []
    for number, (name, place) in enumerate(keys):
        own = each[bounds[number] : bounds[number + 1]]
        diseases = {d: _rounded(v) for d, v in zip(test.diseases, own.mean(axis=0), strict=True)}
        gain = estimates[len(keys) + number] if reference in models and name != reference else None
        by_seed = tuple(_rounded(value) for value in means[bounds[number] : bounds[number + 1]])
        scenario = scenarios[place].name
        rows.append(Row(name, scenario, len(own), estimates[number], by_seed, diseases, gain))
    return rows


def _informativeness(singles: Mapping[str, Predictor], test: StudyPart) -> dict[str, float]:
    if not singles:
        return {}
    table = ManyAurocs(test.labels, [predictor(test) for predictor in singles.values()])
    above = np.maximum(table.means(np.arange(len(test))) - 0.5, 0)
    return dict(zip(singles, (above / max(above.sum(), 1e-12)).round(4).tolist(), strict=True))


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
