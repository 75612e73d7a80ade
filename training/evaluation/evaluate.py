"""From predictions to figures with intervals: one model, several seeds of it, or two models compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medfm_core.errors import InputError
from training.evaluation.bootstrap import BootstrapPlan, Estimate, Statistic, bootstrap, paired_difference
from training.evaluation.metrics import Scorer
from training.evaluation.score import Score


@dataclass(frozen=True)
class Figure:
    """One figure of merit as it is reported.

    Attributes:
        metric: its name.
        mean: the figure, over the seeds where there are several; its interval is over the subjects of the test.
        parts: the same per class or label.
        per_seed: the figure of each seed.
        items: rows with a known target.
    """

    metric: str
    mean: Estimate
    parts: Mapping[str, Estimate] = field(default_factory=dict)
    per_seed: tuple[float | None, ...] = ()
    items: int = 0


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged.

    Attributes:
        target: `(N, ...)`, see `Scorer`.
        predictions: one array `(N, ...)` per seed.
        subjects: of the rows.
    """

    target: np.ndarray
    predictions: tuple[np.ndarray, ...]
    subjects: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.target), len(self.subjects), *map(len, self.predictions)}
        if len(lengths) != 1 or not self.predictions:
            raise InputError("targets, predictions and subjects differ in length", "give one of each per row")


def evaluate(judged: Judged, scorers: Sequence[Scorer], plan: BootstrapPlan) -> tuple[Figure, ...]:
    """Score predictions by every scorer, with intervals over subjects.

    With several seeds, a resample is scored for all of them and their mean is taken: the interval says how much the
    figure depends on who was tested, `per_seed` how much on the seed. In a resample that lacks a class or label, the
    mean over the others is taken.

    Args:
        judged: targets and predictions.
        scorers: the figures.
        plan: how intervals are made.
    """
    return tuple(_figure(judged, scorer, plan) for scorer in scorers)


def compare(first: Judged, second: Judged, scorers: Sequence[Scorer], plan: BootstrapPlan) -> tuple[Figure, ...]:
    """By how much the first model is above the second on the same rows, with paired intervals.

    Raises:
        InputError: the rows differ.
    """
    if first.subjects != second.subjects or not np.array_equal(first.target, second.target, equal_nan=True):
        raise InputError("two models can only be compared on the same rows", "predict the same items with both")
    figures = []
    for scorer in scorers:
        ours, theirs = (_statistic(one, scorer) for one in (first, second))
        mean = paired_difference(ours, theirs, first.subjects, plan)[0]
        figures.append(Figure(scorer.metric, mean, items=_whole(first, scorer)[0].count))
    return tuple(figures)


def _figure(judged: Judged, scorer: Scorer, plan: BootstrapPlan) -> Figure:
    scores = _whole(judged, scorer)
    names = tuple(scores[0].parts)
    found = bootstrap(_statistic(judged, scorer, names), judged.subjects, plan)
    mean = _with_note(found[0], next((score for score in scores if score.value is None), scores[0]))
    parts = {name: _with_note(found[1 + n], scores[0].parts[name]) for n, name in enumerate(names)}
    per_seed = tuple(score.value for score in scores) if len(scores) > 1 else ()
    return Figure(scorer.metric, mean, parts, per_seed, scores[0].count)


def _whole(judged: Judged, scorer: Scorer) -> list[Score]:
    return [scorer(judged.target, prediction) for prediction in judged.predictions]


def _statistic(judged: Judged, scorer: Scorer, names: Sequence[str] = ()) -> Statistic:
    """The figure, and those of the named parts behind it, as means over the seeds."""

    def statistic(rows: np.ndarray) -> np.ndarray:
        target = judged.target[rows]
        scores = [scorer(target, prediction[rows]) for prediction in judged.predictions]
        return np.mean([[score.number, *(_part(score, name) for name in names)] for score in scores], axis=0)

    return statistic


def _part(score: Score, name: str) -> float:
    return score.parts[name].number if name in score.parts else float("nan")


def _with_note(estimate: Estimate, score: Score) -> Estimate:
    note = "; ".join(text for text in (score.note, estimate.note) if text)
    return Estimate(estimate.value, estimate.low, estimate.high, note, estimate.subjects, estimate.dropped)
