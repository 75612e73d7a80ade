"""A linear probe of when something will happen: its penalty is chosen on validation rows, or on inner folds."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupKFold

from medfm_core.errors import InputError
from training.evaluation.cox_probe import CoxProbe, EventRows, fit_cox_probe
from training.evaluation.linear_probe import ProbeRows, refuse_shared_subjects
from training.evaluation.survival import concordance

PENALTIES = (0.003, 0.03, 0.3, 3.0, 30.0)  # of the sum of squared weights, beside a mean over events
FEWEST_EVENTS = 10
FOLDS = 5

_Part = tuple[ProbeRows, ProbeRows]


def fit_survival_probe(train: ProbeRows, validation: ProbeRows | None = None, seed: int = 0) -> tuple[CoxProbe, str]:
    """Fit proportional hazards with the penalty whose order of rows that were not learnt from is best.

    Args:
        train: rows to learn from, with times and events.
        validation: rows of other subjects to choose on; with fewer than `FEWEST_EVENTS` events, inner folds of the
            training subjects are used instead.
        seed: of the folds.

    Returns:
        The probe, and what its penalty was chosen by.

    Raises:
        InputError: nobody had the event, or a subject is on both sides.
    """
    refuse_shared_subjects(train, validation, "train", "val")
    if not _events(train):
        raise InputError("nobody of the training rows had the event", "check the event column and the splits")
    if validation is not None and _events(validation) >= FEWEST_EVENTS:
        parts, by = [(train, validation)], "val"
    else:
        parts = _folds(train, seed)
        by = f"{len(parts)} folds" if parts else "not chosen: too few subjects"
    by_simplest = sorted(PENALTIES, reverse=True)  # of equals the simpler one
    penalty = max(by_simplest, key=lambda value: _order(parts, value))
    return _fit(train, penalty), by


def _order(parts: list[_Part], penalty: float) -> float:
    """Mean concordance of the rows that were not learnt from; 0.5 where no two can be compared."""
    found = []
    for inner, outer in parts:
        score = concordance(outer.targets.values, _fit(inner, penalty).predict(outer.features)[:, 0])
        found.append(0.5 if score.value is None else score.value)
    return float(np.mean(found)) if found else 0.5


def _fit(rows: ProbeRows, penalty: float) -> CoxProbe:
    values = rows.targets.values
    given = EventRows(rows.features, values[:, :1], values[:, 1:] > 0)
    nobody = EventRows(given.features[:0], given.time[:0], given.event[:0])
    return fit_cox_probe(given, nobody, (penalty,))


def _folds(train: ProbeRows, seed: int) -> list[_Part]:
    """Pairs of rows to fit on and rows to judge on, no subject in both; those with events on both sides."""
    folds = min(FOLDS, len(set(train.subjects)))
    if folds < 2:
        return []
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    pairs = [(train.take(a), train.take(b)) for a, b in splitter.split(train.features, groups=train.subjects)]
    return [(inner, outer) for inner, outer in pairs if _events(inner) and _events(outer)]


def _events(rows: ProbeRows) -> int:
    return int((rows.targets.values[rows.targets.known, 1] > 0).sum())
