"""Intervals: as scipy's where it can, over subjects, covering as often as they say, and honest where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from medfm_core.errors import InputError
from training.evaluation.bootstrap import BootstrapPlan, Clusters, bootstrap, bootstrap_one, paired_difference
from training.evaluation.ranking import area_under_roc


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_it_is_the_interval_of_scipy_when_every_subject_has_one_row(method):
    values = np.random.default_rng(1).gamma(2.0, size=40)
    plan = BootstrapPlan(400, method=method, seed=7)
    found = bootstrap_one(lambda rows: values[rows].mean(), [f"{n:03d}" for n in range(40)], plan)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=400, method=method, rng=np.random.default_rng(7), vectorized=False
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.value == pytest.approx(values.mean())


def clustered(rng: np.random.Generator, subjects: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a subject are all but the same."""
    return np.repeat(rng.normal(size=subjects), rows) + 0.1 * rng.normal(size=subjects * rows), np.repeat(
        np.arange(subjects), rows
    )


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_over_subjects_cover_the_truth_as_often_as_they_say_and_those_over_rows_do_not(method):
    plan = BootstrapPlan(150, level=0.9, method=method)
    covered, naive = 0, 0
    for seed in range(50):
        values, subjects = clustered(np.random.default_rng(seed), 25, 4)
        ours = bootstrap_one(lambda rows, values=values: values[rows].mean(), subjects, plan)
        rows_only = bootstrap_one(
            lambda rows, values=values: values[rows].mean(), np.arange(100), BootstrapPlan(60, 0.9, "percentile")
        )
        covered += ours.low <= 0 <= ours.high
        naive += rows_only.low <= 0 <= rows_only.high
    assert 0.78 <= covered / 50 <= 0.99
    assert naive / 50 < 0.72


def test_drawn_subjects_bring_all_their_rows_as_often_as_they_are_drawn():
    clusters = Clusters(["b", "a", "b", "c", "a"])
    assert len(clusters) == 3
    assert sorted(clusters.rows(np.array([0, 0, 2]))) == [1, 1, 3, 4, 4]
    assert sorted(clusters.rows(np.arange(3))) == [0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=30)
    one, same, other = (
        bootstrap_one(lambda rows: values[rows].mean(), np.arange(30), BootstrapPlan(100, seed=seed))
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_resamples_without_a_figure_are_dropped_and_counted_and_too_many_give_no_interval():
    target = np.array([1, 1] + [0] * 28)
    score = np.random.default_rng(0).random(30) + 0.3 * target

    def auroc(rows: np.ndarray) -> float | None:
        return area_under_roc(target[rows], score[rows]) if 0 < target[rows].sum() < len(rows) else None

    some = bootstrap_one(auroc, np.arange(30), BootstrapPlan(300, method="percentile"))
    assert 0.05 < some.dropped < 0.2  # (28/30)^30 = 0.126
    assert some.low is not None
    target = np.array([1] + [0] * 29)
    none = bootstrap_one(auroc, np.arange(30), BootstrapPlan(300))
    assert none.low is None
    assert "cannot be scored" in none.note
    assert none.value is not None


def test_what_cannot_have_an_interval_says_why():
    few = bootstrap_one(lambda rows: 1.0 * len(rows), ["a", "a", "b"], BootstrapPlan(50))
    assert few.low is None
    assert "2 subjects" in few.note
    same = bootstrap_one(lambda rows: 1.0, np.arange(20), BootstrapPlan(50))
    assert same.low is None
    assert "the same" in same.note
    missing = bootstrap_one(lambda rows: None, np.arange(20), BootstrapPlan(50))
    assert missing.value is None


def test_an_extreme_figure_falls_back_to_percentiles():
    values = np.arange(20.0)
    found = bootstrap_one(lambda rows: values[rows].max(), np.arange(20), BootstrapPlan(200))
    assert found.low is not None
    assert found.high == 19


def test_a_paired_difference_is_known_better_than_either_figure():
    rng = np.random.default_rng(5)
    common = rng.normal(size=60)
    first, second = common + 0.5 + 0.1 * rng.normal(size=60), common + 0.1 * rng.normal(size=60)
    plan = BootstrapPlan(300)
    difference = paired_difference(
        lambda rows: first[rows].mean(), lambda rows: second[rows].mean(), np.arange(60), plan
    )[0]
    alone = bootstrap_one(lambda rows: first[rows].mean(), np.arange(60), plan)
    assert 0.4 < difference.low < 0.5 < difference.high < 0.6
    assert difference.high - difference.low < (alone.high - alone.low) / 3


def test_several_figures_share_their_resamples():
    values = np.random.default_rng(0).normal(size=(30, 2))
    both = bootstrap(lambda rows: values[rows].mean(0), np.arange(30), BootstrapPlan(100))
    second = bootstrap_one(lambda rows: values[rows, 1].mean(), np.arange(30), BootstrapPlan(100))
    assert (both[1].low, both[1].high) == pytest.approx((second.low, second.high))


def test_impossible_plans_are_refused():
    for wrong in ({"resamples": 3}, {"level": 1.0}, {"method": "bcb"}):
        with pytest.raises(InputError):
            BootstrapPlan(**wrong)
