"""Online linear probe: what a linear model can read out of the features of a fixed monitor set.

It is made to be quick and to compare one step of a run with another. The samples are cut into two halves by subject; a
ridge model is fitted on each and judged on the other, and the two figures are averaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medfm_core.errors import InputError

_STRENGTHS = np.logspace(-2, 5, 8)
_FEWEST_PER_CLASS = 5
_FEWEST_FOR_NUMBERS = 10
_MOST_CLASSES = 20


@dataclass(frozen=True)
class ProbeResult:
    """How well one target can be read.

    Attributes:
        target: name of the target.
        metric: `auroc` (macro, one against the rest), `balanced_accuracy` or `r2`; empty when nothing is stated.
        value: mean of the two halves; None when the set is too small to say.
        chance: what a reader without any information gets.
        note: what was left out, or why nothing is stated.
    """

    target: str
    metric: str = ""
    value: float | None = None
    chance: float | None = None
    note: str = ""


def probe(features: np.ndarray, targets: Mapping[str, Sequence[Any]], subjects: Sequence[Any]) -> list[ProbeResult]:
    """Probe every target.

    Args:
        features: `(N, F)`, finite.
        targets: values of each target, `(N,)`. Texts, truth values and whole numbers are classes (more than 20
            different whole numbers are quantities), floats are quantities unless they hold only 0 and 1. NaN, None and
            "" are missing.
        subjects: whom each sample is of, `(N,)`; no subject is in both halves.

    Returns:
        `auroc` and `balanced_accuracy` for classes, `r2` for quantities, or one result without a value.

    Raises:
        InputError: lengths differ, or features are not finite.
    """
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or not np.isfinite(features).all():
        raise InputError("the features for the probe are not finite numbers (N, F)", "see the run's alarms")
    results = []
    for name, values in targets.items():
        if len(values) != len(features) or len(subjects) != len(features):
            raise InputError(
                f"target {name!r} has {len(values)} values and {len(subjects)} subjects for {len(features)} features",
                "give one of each per sample",
            )
        values, known, classes = read_target(values)
        who = np.array([str(subject) for subject in subjects])[known]
        task = _probe_classes if classes else _probe_numbers
        results += task(name, features[known], values[known], who)
    return results


def read_target(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Read a target: its values, which are known `(N,)` bool, and whether they are classes."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        known = np.array([value is not None and value == value and value != "" for value in values], dtype=bool)
        kept = [value for value, is_known in zip(values, known, strict=True) if is_known]
        if kept and all(isinstance(value, (bool, int, float, np.number)) for value in kept):
            array = np.array([float(value) if ok else np.nan for value, ok in zip(values, known, strict=True)])
            whole = all(isinstance(value, (bool, int, np.integer)) for value in kept)
            return array, known, (whole and len(set(kept)) <= _MOST_CLASSES) or set(kept) <= {0, 1}
        return np.array([str(value) for value in values]), known, True
    if array.dtype.kind == "f":
        known = np.isfinite(array)
        return array.astype(np.float64), known, set(array[known].tolist()) <= {0.0, 1.0}
    return array, np.ones(len(array), dtype=bool), array.dtype.kind == "b" or len(np.unique(array)) <= _MOST_CLASSES


def halves(subjects: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Cut subjects into two halves that both have all kinds of values; the same for the same subjects and values.

    Args:
        subjects: `(N,)` texts.
        values: `(N,)`; a subject's first one counts.

    Returns:
        Whether a sample is in the first half, `(N,)` bool.
    """
    names, first = np.unique(subjects, return_index=True)
    ranks = np.unique(values[first], return_inverse=True)[1]
    shuffled = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    order = sorted(range(len(names)), key=lambda i: (ranks[i], shuffled[i]))
    return np.isin(subjects, names[order[::2]])


def _probe_classes(name: str, features: np.ndarray, values: np.ndarray, who: np.ndarray) -> list[ProbeResult]:
    values = values.astype(str)
    first = halves(who, values) if len(values) else np.zeros(0, dtype=bool)
    kept, dropped = [], []
    for label in np.unique(values):
        counts = [len(np.unique(who[(values == label) & half])) for half in (first, ~first)]
        (kept if min(counts) >= _FEWEST_PER_CLASS else dropped).append(str(label))
    if len(kept) < 2:
        return [ProbeResult(name, note=f"not stated: fewer than 2 classes with {2 * _FEWEST_PER_CLASS} subjects")]
    note = f"without {', '.join(dropped)}: fewer than {2 * _FEWEST_PER_CLASS} subjects" if dropped else ""
    keep = np.isin(values, kept)
    features, numbers, first = features[keep], np.searchsorted(kept, values[keep]), first[keep]
    figures = [_judge_classes(features, numbers, half, len(kept)) for half in (first, ~first)]
    auroc, accuracy = np.mean(figures, axis=0)
    return [
        ProbeResult(name, "auroc", float(auroc), 0.5, note),
        ProbeResult(name, "balanced_accuracy", float(accuracy), 1 / len(kept), note),
    ]


def _judge_classes(features: np.ndarray, numbers: np.ndarray, train: np.ndarray, count: int) -> tuple[float, float]:
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    fitted, judged = _standardise(features, train)
    model = RidgeClassifierCV(_STRENGTHS, class_weight="balanced").fit(fitted, numbers[train])
    scores, truth = model.decision_function(judged), numbers[~train]
    if count == 2:
        auroc = roc_auc_score(truth, scores)
    else:
        auroc = np.mean([roc_auc_score(truth == label, scores[:, label]) for label in range(count)])
    return float(auroc), float(balanced_accuracy_score(truth, model.predict(judged)))


def _probe_numbers(name: str, features: np.ndarray, values: np.ndarray, who: np.ndarray) -> list[ProbeResult]:
    values = values.astype(np.float64)
    first = halves(who, values) if len(values) else np.zeros(0, dtype=bool)
    if any(len(np.unique(who[half])) < _FEWEST_FOR_NUMBERS or np.ptp(values[half]) == 0 for half in (first, ~first)):
        return [ProbeResult(name, note=f"not stated: fewer than {2 * _FEWEST_FOR_NUMBERS} subjects, or all alike")]
    figures = [_judge_numbers(features, values, half) for half in (first, ~first)]
    return [ProbeResult(name, "r2", float(np.mean(figures)), 0.0)]


def _judge_numbers(features: np.ndarray, values: np.ndarray, train: np.ndarray) -> float:
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score

    fitted, judged = _standardise(features, train)
    model = RidgeCV(_STRENGTHS).fit(fitted, values[train])
    return float(r2_score(values[~train], model.predict(judged)))


def _standardise(features: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale to mean 0 and deviation 1 of the training half; features that stand still there become 0."""
    mean, std = features[train].mean(0), features[train].std(0)
    alive = std > 1e-12 * max(float(np.abs(features).max()), 1e-300)
    scaled = (features - mean) / np.where(alive, std, 1.0) * alive
    return scaled[train], scaled[~train]
