"""Few-shot subsets: balanced, nested, different subjects first, a function of the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.few_shot import few_shot_rows, quartiles
from training.evaluation.few_shot_targets import few_shot_targets


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_subsets_are_balanced_and_nested(data_seed, seed):
    rng = np.random.default_rng(data_seed)
    classes = rng.permutation(np.repeat([0, 1, 2, -1], (20, 16, 40, 9)))
    subjects = [f"s{n}" for n in rng.integers(0, 40, len(classes))]
    drawn = few_shot_rows(classes, subjects, (16, 1, 5), seed)
    assert list(drawn) == [1, 5, 16]
    for k, rows in drawn.items():
        assert [int((classes[rows] == value).sum()) for value in (0, 1, 2)] == [k] * 3
        assert len(set(rows)) == len(rows)
    assert set(drawn[1]) < set(drawn[5]) < set(drawn[16])


def test_shots_are_different_subjects_while_there_are_any():
    subjects = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"]
    classes = np.array([0] * 30 + [1])
    for seed in range(10):
        rows = few_shot_rows(classes, subjects, (1,), seed)[1]
        assert len(rows) == 2
    for seed in range(10):
        rows = few_shot_rows(classes[:30], subjects[:30], (3,), seed)[3]
        assert {subjects[row] for row in rows} == {"a", "b", "c"}


def test_seeds_draw_differently_and_the_same_seed_the_same():
    classes, subjects = np.arange(200) % 2, [str(n) for n in range(200)]
    first, again, other = (few_shot_rows(classes, subjects, (5,), seed)[5] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_rows_are_refused_by_the_name_of_the_class():
    with pytest.raises(InputError, match=r"5 shots.*'rare' has 2"):
        few_shot_rows(np.array([0] * 9 + [1] * 2), [str(n) for n in range(11)], (1, 5), 0, ("common", "rare"))
    with pytest.raises(InputError, match="1 or more"):
        few_shot_rows(np.array([0, 1]), ["a", "b"], (0,), 0)
    with pytest.raises(InputError, match="no row"):
        few_shot_rows(np.array([-1, np.nan]), ["a", "b"], (1,), 0)


def test_a_quantity_is_drawn_from_each_quarter():
    values = np.append(np.random.default_rng(0).normal(size=80), np.nan)
    quarters = quartiles(values)
    assert list(np.bincount(quarters[:-1])) == [20] * 4
    assert quarters[-1] == -1


def test_only_the_drawn_targets_are_known_and_only_of_train():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (60, 2)).astype(float)
    splits = tuple("train" if n < 50 else "test" for n in range(60))
    names = tuple(f"s{n}" for n in range(60))
    cohort = Cohort(names, names, splits, Targets("multi_label", values, ("cyst", "stone")))
    few = few_shot_targets(cohort, 4, seed=3)
    known = np.isfinite(few.values)
    assert not known[50:].any()
    for label in range(2):
        assert known[:, label].sum() == 8
        assert few.values[known[:, label], label].sum() == 4
    assert np.array_equal(few.values[known], values[known])
