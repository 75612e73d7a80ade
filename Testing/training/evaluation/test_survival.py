"""The concordance index against its definition and against scikit-survival."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.metrics import metric_names, scorers
from training.evaluation.survival import concordance

ROWS = st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(-2, 2)), min_size=1, max_size=15)


def by_definition(time, event, risk):
    right = pairs = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                pairs += 1
                right += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    return right / pairs if pairs else None


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_it_is_its_definition(rows):
    time, event, risk = map(np.array, zip(*rows, strict=True))
    found = concordance(np.stack([time, event], 1), risk)
    wanted = by_definition(time, event, risk)
    assert found.value == (None if wanted is None else pytest.approx(wanted))


@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_scikit_survival_agrees(rows):
    metrics = pytest.importorskip("sksurv.metrics")
    time, event, risk = map(np.array, zip(*rows, strict=True))
    found = concordance(np.stack([time, event], 1), risk)
    if found.value is not None:
        assert metrics.concordance_index_censored(event, time, risk)[0] == pytest.approx(found.value)


def test_a_constant_risk_tells_nothing():
    draw = np.random.default_rng(0)
    target = np.stack([draw.permutation(700) + 1, draw.random(700) < 0.6], 1).astype(float)
    assert concordance(target, np.zeros(700)).value == 0.5
    assert concordance(target, -target[:, 0]).value == 1  # whoever has the event earlier has the higher risk
    assert concordance(target, target[:, 0]).value == 0


def test_what_is_not_known():
    target = np.array([[1, 1], [2, 0], [np.nan, 1], [0, 1]])
    found = concordance(target, np.array([3.0, 1, np.nan, 9]))
    assert (found.value, found.count) == (1, 2)
    assert "compared" in concordance(np.array([[1, 0], [2, 0]]), np.zeros(2)).note
    assert "not finite" in concordance(np.array([[1, 1], [2, 0]]), np.array([np.nan, 0])).note


def test_it_is_a_figure_like_the_others():
    assert metric_names("survival") == ("concordance",)
    (scorer,) = scorers("survival", ("months",))
    assert scorer(np.array([[1, 1], [2, 0.0]]), np.array([2.0, 1])).value == 1
    assert not scorer.lower_is_better
