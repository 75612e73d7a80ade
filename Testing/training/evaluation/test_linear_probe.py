"""Linear probes: they find what is there, choose without the test, and take missing labels."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.errors import InputError
from training.evaluation.cohort import Targets
from training.evaluation.linear_probe import ProbeRows, fit_linear_probe
from training.evaluation.ranking import area_under_roc

GRID = (1e-3, 1e-1, 10.0)


def make_rows(values: np.ndarray, features: np.ndarray, task: str = "classification", start: int = 0) -> ProbeRows:
    names = {"classification": ("no", "yes"), "regression": ("age",)}.get(task) or tuple("abc"[: values.shape[1]])
    return ProbeRows(features, Targets(task, values, names), tuple(f"s{start + n}" for n in range(len(values))))


def planted(seed: int, count: int, strength: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, count)
    features = rng.normal(size=(count, 20)) * 100 + 1000
    features[:, 3] += strength * 100 * (target - 0.5)
    return target, features


def test_a_planted_direction_is_found_and_shuffled_labels_are_at_chance():
    target, features = planted(0, 200)
    unseen, others = planted(1, 400)
    probe = fit_linear_probe(make_rows(target, features), strengths=GRID)
    assert area_under_roc(unseen, probe.predict(others)[:, 1]) > 0.8
    assert probe.choices[0].by == "5 folds"
    shuffled = np.random.default_rng(2).permutation(target)
    blind = fit_linear_probe(make_rows(shuffled, features), strengths=GRID)
    assert abs(area_under_roc(unseen, blind.predict(others)[:, 1]) - 0.5) < 0.12


def test_the_regularisation_is_chosen_on_validation_rows_where_there_are_enough():
    noise = np.random.default_rng(0).normal(size=(40, 60))
    target = np.arange(40) % 2
    probe = fit_linear_probe(make_rows(target, noise), make_rows(target, noise[::-1].copy(), start=100), GRID)
    assert probe.choices[0].by == "val"
    assert probe.choices[0].strength == GRID[0]  # noise is best not believed
    few = fit_linear_probe(make_rows(target, noise), make_rows(target[:4], noise[:4], start=100), GRID)
    assert few.choices[0].by == "5 folds"
    one_shot = fit_linear_probe(make_rows(target[:2], noise[:2]), strengths=GRID)
    assert "too few" in one_shot.choices[0].by


def test_inner_folds_keep_the_rows_of_a_subject_together():
    rng = np.random.default_rng(0)
    person = np.repeat(rng.normal(size=(20, 30)), 6, axis=0)  # rows of a subject are the same
    target = np.repeat(rng.integers(0, 2, 20), 6)
    subjects = tuple(f"s{n // 6}" for n in range(120))
    rows = ProbeRows(person, Targets("classification", target, ("no", "yes")), subjects)
    together = fit_linear_probe(rows, strengths=(1e-4, 100.0))
    apart = fit_linear_probe(make_rows(target, person), strengths=(1e-4, 100.0))
    assert together.choices[0].strength == 1e-4  # other people tell nothing
    assert apart.choices[0].strength == 100.0  # the same people in another fold tell all


def test_labels_have_probes_of_their_own_and_missing_ones_are_not_learnt_from():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 10))
    values = (features[:, :3] > 0).astype(float)
    values[:, 2] = 1.0
    missing = values.copy()
    missing[:50, 0], missing[50:60, 1] = np.nan, -1
    wrong_where_missing = values.copy()
    wrong_where_missing[:50, 0] = 1 - wrong_where_missing[:50, 0]
    probe = fit_linear_probe(make_rows(missing, features, "multi_label"), strengths=(1.0,))
    said = probe.predict(features)
    assert said.shape == (150, 3)
    assert area_under_roc(values[:, 0].astype(int), said[:, 0]) > 0.97
    assert set(np.round(said[:, 2], 6)) == {round(151 / 152, 6)}
    assert probe.choices[2].by == "one class only"
    again = fit_linear_probe(
        make_rows(np.where(np.isnan(missing), -1, wrong_where_missing), features, "multi_label"), strengths=(1.0,)
    )
    assert np.array_equal(again.predict(features)[:, 0], said[:, 0])


def test_a_quantity_is_read_by_ridge_regression():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 8))
    age = 60 + 10 * features[:, 2] + rng.normal(size=120)
    values = np.where(np.arange(120) < 10, np.nan, age)
    probe = fit_linear_probe(make_rows(values, features, "regression"))
    assert np.corrcoef(probe.predict(features)[:10], age[:10])[0, 1] > 0.95


def test_a_class_that_training_never_shows_has_probability_0():
    rng = np.random.default_rng(0)
    targets = Targets("classification", np.arange(30) % 2 * 2, ("a", "b", "c"))
    rows = ProbeRows(rng.normal(size=(30, 4)), targets, tuple(f"s{n}" for n in range(30)))
    said = fit_linear_probe(rows, strengths=(1.0,)).predict(rows.features)
    assert said.shape == (30, 3)
    assert (said[:, 1] == 0).all()
    assert said.sum(1) == pytest.approx(1)


def test_leaking_broken_and_empty_rows_are_refused():
    target, features = planted(0, 40)
    with pytest.raises(InputError, match="40 subjects are in both train and val"):
        fit_linear_probe(make_rows(target, features), make_rows(target, features))
    with pytest.raises(InputError, match="not finite"):
        make_rows(target, np.where(np.arange(20) == 3, np.nan, features))
    with pytest.raises(InputError, match="one class"):
        fit_linear_probe(make_rows(np.zeros(40, int), features))
    with pytest.raises(InputError, match="no training row"):
        fit_linear_probe(make_rows(np.full(40, -1), features))
