"""What a whole-body model must beat: linear models of the raw values, each with its own way of doing without organs.

A predictor is a function from studies to probabilities `(S, L)`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.impute import KNNImputer, SimpleImputer

from training.evaluation.baselines import constant_prediction
from training.evaluation.linear_probe import LinearProbe, fit_linear_probe
from training.evaluation.missing_organs.parts import StudyPart

Predictor = Callable[[StudyPart], np.ndarray]
STRENGTHS = (1e-3, 1e-2, 1e-1)
_NEIGHBOURS = 10


@dataclass(frozen=True)
class Splits:
    """Where models learn, and where they choose their regularisation."""

    train: StudyPart
    val: StudyPart


def read_out(splits: Splits, features: Callable[[StudyPart], np.ndarray]) -> Predictor:
    """Logistic regressions on features of studies.

    Args:
        splits: learn and choose here.
        features: from studies to `(S, F)`.
    """
    train, val = splits.train, splits.val
    probe = fit_linear_probe(train.rows(features(train)), val.rows(features(val)), STRENGTHS)
    return lambda part: probe.predict(features(part))


def covariates_only(splits: Splits) -> Predictor:
    """Age, sex and site."""
    return read_out(splits, lambda part: part.covariates)


def imputation(splits: Splits, kind: str = "mean") -> Predictor:
    """Raw values side by side, missing ones filled in by the `mean`, or from the nearest neighbours (`knn`)."""
    imputer = SimpleImputer(keep_empty_features=True)
    if kind == "knn":
        imputer = KNNImputer(n_neighbors=_NEIGHBOURS, keep_empty_features=True)
    imputer.fit(splits.train.flat())
    return read_out(splits, lambda part: imputer.transform(part.flat()))


def complete_cases(splits: Splits) -> Predictor | None:
    """Learns from studies that lack nothing, and has missing values filled in by their mean; None without any."""
    whole = splits.train.take(np.flatnonzero(splits.train.present.all(axis=1)))
    if len(whole) < 2:
        return None
    return imputation(Splits(whole, splits.val))


def single_organs(splits: Splits) -> dict[str, Predictor]:
    """One model per organ, which knows nothing but how frequent diseases are where the organ is missing."""
    return {name: _OneOrgan(splits, name) for name in splits.train.names}


def late_fusion(predictors: Sequence[Predictor]) -> Predictor:
    """The mean log odds of the single organs that there are."""

    def predict(part: StudyPart) -> np.ndarray:
        said = np.clip(np.stack([predictor(part) for predictor in predictors]), 1e-6, 1 - 1e-6)
        there = part.present.T[:, :, None]
        odds = np.log(said / (1 - said))
        mean = (odds * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        return 1 / (1 + np.exp(-mean))

    return predict


class _OneOrgan:
    def __init__(self, splits: Splits, name: str) -> None:
        self._name, self._number = name, splits.train.names.index(name)
        imputer = SimpleImputer(keep_empty_features=True)  # of single measurements
        train, val = self._having(splits.train), self._having(splits.val)
        self._constant = constant_prediction(splits.train.rows(splits.train.covariates).targets, 1)[0]
        self._probe: LinearProbe | None = None
        if len(train):
            imputer.fit(train.flat([name]))
            self._imputer = imputer
            judges = val.rows(self._features(val)) if len(val) else None
            self._probe = fit_linear_probe(train.rows(self._features(train)), judges, STRENGTHS)

    def __call__(self, part: StudyPart) -> np.ndarray:
        said = np.tile(self._constant, (len(part), 1))
        rows = np.flatnonzero(part.present[:, self._number])
        if len(rows) and self._probe is not None:
            said[rows] = self._probe.predict(self._features(part.take(rows)))
        return said

    def _having(self, part: StudyPart) -> StudyPart:
        return part.take(np.flatnonzero(part.present[:, self._number]))

    def _features(self, part: StudyPart) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return self._imputer.transform(part.flat([self._name]))
