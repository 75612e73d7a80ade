"""The probe study: what can be read from frozen features, from all labels and from few, beside what must be beaten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.evaluation.attentive_probe import AttentiveProbePlan, TokenRows, fit_attentive_probe
from training.evaluation.baselines import chance_level, constant_prediction
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.describe import facts, heading
from training.evaluation.evaluate import Figure, Judged, compare, evaluate
from training.evaluation.few_shot_targets import few_shot_targets
from training.evaluation.linear_probe import ProbeRows, fit_linear_probe
from training.evaluation.metrics import Scorer, scorers
from training.evaluation.report import Report, Row
from training.evaluation.survival_probe import fit_survival_probe

RANDOM = "random weights"
_CONSTANT = {"regression": "training mean", "survival": "same risk for all"}


@dataclass(frozen=True)
class ProbeStudy:
    """What is asked.

    Attributes:
        kind: `linear` for vectors, `attentive` for tokens.
        shots: labelled examples per class (or per quarter of a quantity) to learn from, beside all.
        seeds: how many draws of few-shot subsets, and of an attentive head's weights.
        metrics: figures to report, all of the task by default; the first one is the one for few shots.
        intervals: how intervals are made.
        attentive: how an attentive head is trained.
    """

    kind: Literal["linear", "attentive"] = "linear"
    shots: tuple[int, ...] = ()
    seeds: int = 5
    metrics: tuple[str, ...] = ()
    intervals: BootstrapPlan = field(default_factory=BootstrapPlan)
    attentive: AttentiveProbePlan = field(default_factory=AttentiveProbePlan)

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "attentive"):
            raise InputError(f"there is no probe of kind {self.kind!r}", "choose linear or attentive")
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds give no result", "give 1 or more")


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What came out.

    Attributes:
        report: all figures.
        rows: items predicted: those of val and test.
        predictions: of the probe on all labels, for these items; of several seeds the first.
    """

    report: Report
    rows: np.ndarray
    predictions: np.ndarray


@dataclass(frozen=True, eq=False)
class _Fitted:
    predict: Callable[[np.ndarray], np.ndarray]
    details: dict[str, Any]


def run_study(
    cohort: Cohort,
    features: Tensor,
    study: ProbeStudy,
    random_features: Tensor | None = None,
    progress: Progress = SILENT,
) -> StudyResult:
    """Fit probes on `train`, choose on `val`, judge on `test`.

    Args:
        cohort: who, and what is to be told; no subject is in two splits.
        features: of every item of the cohort, `(N, F)`, or tokens `(N, T, F)` for an attentive probe.
        study: what is asked.
        random_features: the same of the same encoder with random weights, as a baseline.
        progress: advances by fits.

    Raises:
        InputError: lengths or shapes do not fit, a split has no known target, or there are fewer labels than shots.
    """
    models = {f"{study.kind} probe": features}
    if random_features is not None:
        models[RANDOM] = random_features
    for given in models.values():
        if len(given) != len(cohort) or given.ndim != (2 if study.kind == "linear" else 3):
            raise InputError(f"features {tuple(given.shape)} do not fit {len(cohort)} items", "encode the same items")
    refuse_task(cohort.targets.task, study)
    test = cohort.rows("test")
    for split in ("train", "test"):
        if not len(cohort.rows(split)):
            raise InputError(f"no item of the split {split!r} has a known target", "check the manifest")
    asked = scorers(cohort.targets.task, cohort.targets.names, study.metrics or None)
    rows, first, judged = [], None, {}
    with progress.stage("Probes", len(models) * (1 + len(study.shots) * study.seeds)) as stage:
        for name, given in models.items():
            fitted = _fit_all(cohort, given, study)
            judged[name] = _judge(cohort, test, fitted)
            first = first or fitted[0]
            rows.append(_row(name, judged[name], asked, study, fitted[0].details))
            stage.advance()
            for shots in study.shots:
                few = []
                for seed in range(study.seeds):
                    few.append(_fit(cohort, given, few_shot_targets(cohort, shots, seed, study.shots), study, seed))
                    stage.advance()
                rows.append(_row(name, _judge(cohort, test, few), asked[:1], study, few[0].details, shots))
    rows.append(_constant_row(cohort, test, asked, study))
    differences = _differences(judged, asked, study)
    predicted = np.sort(np.concatenate([cohort.rows("val", known=False), cohort.rows("test", known=False)]))
    report = Report(heading(cohort, test), tuple(rows), differences, facts(cohort, study.intervals))
    return StudyResult(report, predicted, first.predict(predicted))


def refuse_task(task: str | None, study: ProbeStudy) -> None:
    """Refuse what cannot be studied of a task.

    Raises:
        InputError: an attentive head, or few labels, for times to events.
    """
    if task == "survival" and (study.kind != "linear" or study.shots):
        raise InputError("a survival probe is linear, and learns from all labels", "leave --kind and --few-shot out")


def _fit_all(cohort: Cohort, features: Tensor, study: ProbeStudy) -> list[_Fitted]:
    """Fit on all labels; an attentive head several times, since its weights start at random."""
    seeds = study.seeds if study.kind == "attentive" else 1
    validation = cohort.rows("val")
    return [_fit(cohort, features, cohort.targets, study, seed, validation) for seed in range(seeds)]


def _fit(
    cohort: Cohort,
    features: Tensor,
    targets: Targets,
    study: ProbeStudy,
    seed: int,
    validation: np.ndarray | None = None,
) -> _Fitted:
    """Fit on the rows of `train` whose target is known in `targets`; few-shot fits see no validation rows."""
    train = cohort.rows("train")
    train = train[targets.known[train]]
    chosen_on = None if validation is None or not len(validation) else validation
    if study.kind == "attentive":
        return _fit_attentive(cohort, features, targets, study, seed, (train, chosen_on))
    values = features.double().numpy()
    given = [
        None if rows is None else ProbeRows(values[rows], targets.take(rows), cohort.subjects_of(rows))
        for rows in (train, chosen_on)
    ]
    if targets.task == "survival":
        hazards, by = fit_survival_probe(*given, seed=seed)
        details = {"regularisation": {"penalty": hazards.penalties[0], "chosen_by": by}}
        return _Fitted(lambda rows: hazards.predict(values[rows])[:, 0], details)
    probe = fit_linear_probe(*given, seed=seed)
    choices = [{"strength": choice.strength, "chosen_by": choice.by} for choice in probe.choices]
    details = {"regularisation": choices[0] if len(choices) == 1 else dict(zip(targets.names, choices, strict=True))}
    return _Fitted(lambda rows: probe.predict(values[rows]), details)


def _fit_attentive(
    cohort: Cohort, tokens: Tensor, targets: Targets, study: ProbeStudy, seed: int, rows: tuple[np.ndarray, Any]
) -> _Fitted:
    given = [
        None if part is None else TokenRows(tokens[part], targets.take(part), cohort.subjects_of(part)) for part in rows
    ]
    plan = AttentiveProbePlan(**{**vars(study.attentive), "seed": _mix(study.attentive.seed, seed)})
    probe = fit_attentive_probe(*given, plan=plan)
    return _Fitted(lambda wanted: probe.predict(tokens[wanted]), {"epochs": plan.epochs, "lr": plan.lr})


def _judge(cohort: Cohort, test: np.ndarray, fitted: Sequence[_Fitted]) -> Judged:
    predictions = tuple(one.predict(test) for one in fitted)
    return Judged(cohort.targets.values[test], predictions, cohort.subjects_of(test))


def _row(
    name: str,
    judged: Judged,
    asked: Sequence[Scorer],
    study: ProbeStudy,
    details: dict[str, Any],
    shots: int | None = None,
) -> Row:
    figures = evaluate(judged, asked, study.intervals)
    return Row(name, figures, shots, name == RANDOM, {"seeds": len(judged.predictions), **details})


def _constant_row(cohort: Cohort, test: np.ndarray, asked: Sequence[Scorer], study: ProbeStudy) -> Row:
    """What answering the same for all would give."""
    targets = cohort.targets.take(test)
    answer = constant_prediction(cohort.targets.take(cohort.rows("train")), len(test))
    judged = Judged(targets.values, (answer,), cohort.subjects_of(test))
    figures = []
    for figure in evaluate(judged, asked, study.intervals):
        chance = chance_level(figure.metric, targets)
        figures.append(figure if chance is None else Figure(figure.metric, chance, items=figure.items))
    name = _CONSTANT.get(targets.task, "training frequencies")
    return Row(name, tuple(figures), baseline=True)


def _differences(judged: dict[str, Judged], asked: Sequence[Scorer], study: ProbeStudy) -> tuple[Row, ...]:
    if RANDOM not in judged:
        return ()
    name = next(name for name in judged if name != RANDOM)
    figures = compare(judged[name], judged[RANDOM], asked, study.intervals)
    return (Row(f"{name} minus {RANDOM}", figures),)


def _mix(seed: int, number: int) -> int:
    return seed * 1_000_003 + number
