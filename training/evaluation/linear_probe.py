"""What a linear model reads from frozen features: standardised on the training rows, and regularised.

The strength of the regularisation is chosen on validation rows where there are enough, else on inner folds that keep
the rows of a subject together; with too few rows for either it stays at 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from medfm_core.errors import InputError
from training.evaluation.cohort import Targets

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
FEWEST_VALIDATION = 10
FOLDS = 5


@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Features with what is to be read from them.

    Attributes:
        features: `(N, F)`.
        targets: of the same rows; rows of unknown target are not used.
        subjects: of the same rows.

    Raises:
        InputError: lengths differ, or a feature is not finite.
    """

    features: np.ndarray
    targets: Targets
    subjects: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.targets.values) == len(self.subjects):
            raise InputError("features, targets and subjects differ in length", "give one of each per row")
        wrong = int((~np.isfinite(self.features).all(axis=1)).sum())
        if wrong:
            raise InputError(
                f"the features of {wrong} of {len(self.features)} items are not finite",
                "the encoder's training diverged; choose an earlier checkpoint",
            )

    def take(self, rows: np.ndarray) -> ProbeRows:
        """Some of the rows."""
        subjects = tuple(self.subjects[row] for row in rows)
        return ProbeRows(self.features[rows], self.targets.take(rows), subjects)

    def column(self, number: int) -> ProbeRows:
        """One label alone, as a classification of the rows where it is known."""
        values = self.targets.values[:, number]
        known = np.flatnonzero(values >= 0)
        targets = Targets("classification", values[known].astype(np.int64), ("0", "1"))
        return ProbeRows(self.features[known], targets, tuple(self.subjects[row] for row in known))

    def known(self) -> ProbeRows:
        """The rows whose target is known."""
        return self.take(np.flatnonzero(self.targets.known))


@dataclass(frozen=True)
class Choice:
    """A regularisation and how it was found: larger `strength` bends more to the data (scikit-learn's C)."""

    strength: float
    by: str


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A fitted probe.

    Attributes:
        task: of the targets.
        outputs: classes or labels; 1 for a quantity.
        models: one pipeline, or one per label; a number for a label whose training rows were all of one class.
        choices: regularisation of each.
    """

    task: str
    outputs: int
    models: tuple[Pipeline | float, ...]
    choices: tuple[Choice, ...]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probabilities `(N, C)` of classes or `(N, L)` of labels, or quantities `(N,)`."""
        if self.task == "regression":
            return self.models[0].predict(features)
        if self.task == "classification":
            return _probabilities(self.models[0], features, self.outputs)
        columns = [_probabilities(model, features, 2)[:, 1] for model in self.models]
        return np.stack(columns, axis=1)


def fit_linear_probe(
    train: ProbeRows,
    validation: ProbeRows | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> LinearProbe:
    """Fit logistic regressions (one per label) or a ridge regression.

    Args:
        train: rows to learn from.
        validation: rows to choose the regularisation on, of other subjects; None uses inner folds.
        strengths: to choose from.
        seed: of the inner folds.

    Raises:
        InputError: no target is known, a classification shows one class only, or a subject is on both sides.
    """
    refuse_shared_subjects(train, validation, "train", "val")
    task = train.targets.task
    if task != "multi_label":
        fitted = [_fit_one(train.known(), validation.known() if validation else None, strengths, seed)]
        return LinearProbe(task, len(train.targets.names), (fitted[0][0],), (fitted[0][1],))
    fitted = []
    for number in range(len(train.targets.names)):
        rows = train.column(number)
        if len(set(rows.targets.values)) < 2:
            fitted.append((_one_class_share(rows.targets.values), Choice(1.0, "one class only")))
            continue
        fitted.append(_fit_one(rows, validation.column(number) if validation else None, strengths, seed))
    models, choices = zip(*fitted, strict=True)
    return LinearProbe(task, len(models), models, choices)


def refuse_shared_subjects(one: ProbeRows, other: ProbeRows | None, name: str, other_name: str) -> None:
    """Refuse rows that share subjects.

    Raises:
        InputError: they do; how many, not who, is said.
    """
    shared = len(set(one.subjects) & set(other.subjects)) if other else 0
    if shared:
        raise InputError(
            f"{shared} subject{'s are' if shared > 1 else ' is'} in both {name} and {other_name}",
            "split the manifest by subject",
        )


def _fit_one(
    train: ProbeRows, validation: ProbeRows | None, strengths: Sequence[float], seed: int
) -> tuple[Pipeline, Choice]:
    values, quantity = train.targets.values, train.targets.task == "regression"
    if not len(values):
        raise InputError("no training row has a known target", "check the target column and the splits")
    if not quantity and len(set(values)) < 2:
        raise InputError("all training rows are of one class", "check the target column and the splits")
    parts, by = _parts(train, validation, seed)
    if len(strengths) > 1 and parts:
        losses = [np.mean([_loss(train.targets, *part, strength) for part in parts]) for strength in strengths]
        choice = Choice(float(strengths[int(np.argmin(losses))]), by)
    else:
        choice = Choice(1.0 if len(strengths) > 1 else float(strengths[0]), "not chosen: too few rows")
    return _fitted(_model(quantity, choice.strength), train.features, values), choice


_Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _parts(train: ProbeRows, validation: ProbeRows | None, seed: int) -> tuple[list[_Part], str]:
    """Pairs of rows to fit on and rows to judge on."""
    if validation is not None and len(validation.subjects) >= FEWEST_VALIDATION:
        shown = len(set(validation.targets.values))
        if shown > 1:
            return [(train.features, train.targets.values, validation.features, validation.targets.values)], "val"
    features, values = train.features, train.targets.values
    folds = _folds(train)
    if folds < 2:
        return [], ""
    kind: Any = GroupKFold if train.targets.task == "regression" else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    pairs = [
        (features[inner], values[inner], features[outer], values[outer])
        for inner, outer in splitter.split(features, values, train.subjects)
    ]
    if train.targets.task != "regression":
        pairs = [pair for pair in pairs if len(set(pair[1])) > 1]
    return pairs, f"{folds} folds"


def _folds(train: ProbeRows) -> int:
    """As many folds as every class has subjects for, at most `FOLDS`; 0 or 1 where there can be none."""
    subjects, values = np.asarray(train.subjects), train.targets.values
    if train.targets.task == "regression":
        count = len(set(train.subjects))
        return min(FOLDS, count) if count >= 4 else 0
    return min(FOLDS, *(len(set(subjects[values == value])) for value in np.unique(values)))


def _loss(targets: Targets, features: np.ndarray, values: np.ndarray, others: np.ndarray, wanted: np.ndarray,
          strength: float) -> float:  # fmt: skip
    model = _fitted(_model(targets.task == "regression", strength), features, values)
    if targets.task == "regression":
        return float(np.mean((model.predict(others) - wanted) ** 2))
    said = np.clip(_probabilities(model, others, len(targets.names)), 1e-7, None)
    return float(log_loss(wanted, said / said.sum(1, keepdims=True), labels=np.arange(len(targets.names))))


def _model(quantity: bool, strength: float) -> Pipeline:
    last = Ridge(alpha=1 / strength) if quantity else LogisticRegression(C=strength, max_iter=1000)
    return make_pipeline(StandardScaler(), last)


def _fitted(model: Pipeline, features: np.ndarray, values: np.ndarray) -> Pipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weakly regularised fits lose the choice anyway
        return model.fit(features, values)


def _probabilities(model: Pipeline | float, features: np.ndarray, classes: int) -> np.ndarray:
    """`(N, classes)`, 0 for classes that no training row showed."""
    if isinstance(model, float):
        return np.tile((1 - model, model), (len(features), 1))
    said = np.zeros((len(features), classes))
    said[:, model.classes_.astype(int)] = model.predict_proba(features)
    return said


def _one_class_share(values: np.ndarray) -> float:
    """Probability of a label that was always, or never, or not known to be there (Laplace's rule of succession)."""
    return float((values.sum() + 1) / (len(values) + 2))
