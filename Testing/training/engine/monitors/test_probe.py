"""The probe reads what is there, says chance where nothing is, and states nothing on too little."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.errors import InputError
from training.engine.monitors.probe import halves, probe, read_target

RNG = np.random.default_rng(0)
COUNT = 120


def features_with(latent: np.ndarray, strength: float = 3.0) -> np.ndarray:
    noise = RNG.standard_normal((len(latent), 48))
    noise[:, 0] += strength * latent
    return noise


def figures(results) -> dict[str, float]:
    return {f"{r.target} {r.metric}": r.value for r in results if r.value is not None}


def test_what_is_there_is_read_and_what_is_not_is_chance():
    sex, coin, age = RNG.integers(0, 2, COUNT), RNG.integers(0, 2, COUNT), RNG.normal(60, 10, COUNT)
    features = features_with(sex - 0.5, 6.0)
    features[:, 1] += (age - 60) / 3
    found = figures(probe(features, {"sex": sex, "coin": coin, "age": age}, range(COUNT)))
    assert found["sex auroc"] > 0.95
    assert found["sex balanced_accuracy"] > 0.85
    assert found["age r2"] > 0.6
    assert 0.3 < found["coin auroc"] < 0.7


def test_several_classes_have_their_own_chance():
    kind = np.array(["ct", "mr", "us"])[np.arange(COUNT) % 3]
    features = np.eye(3)[np.arange(COUNT) % 3] + 0.1 * RNG.standard_normal((COUNT, 3))
    auroc, accuracy = probe(features, {"kind": kind}, range(COUNT))
    assert (auroc.value, accuracy.value) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (auroc.chance, accuracy.chance) == (0.5, pytest.approx(1 / 3))


def test_a_subject_is_never_in_both_halves_so_knowing_the_subject_does_not_help():
    # Two samples per subject with nearly the same features; the label is a coin per subject.
    subjects = np.repeat(np.arange(COUNT), 2)
    label = np.repeat(RNG.integers(0, 2, COUNT), 2)
    features = np.repeat(RNG.standard_normal((COUNT, 300)), 2, axis=0)
    first = halves(subjects.astype(str), label)
    assert not set(subjects[first]) & set(subjects[~first])
    assert abs(first.mean() - 0.5) < 0.02
    assert probe(features, {"coin": label}, subjects)[0].value < 0.7


def test_halves_are_the_same_in_any_order_and_balanced_by_class():
    names, label = np.array([f"s{i}" for i in range(40)]), np.arange(40) % 4 == 0
    first = halves(names, label)
    assert first[label].sum() == 5
    order = RNG.permutation(40)
    assert np.array_equal(halves(names[order], label[order]), first[order])


def test_too_few_are_not_stated():
    features = RNG.standard_normal((30, 4))
    rare = np.arange(30) < 4
    results = probe(features, {"rare": rare, "age": np.r_[RNG.normal(size=12), np.full(18, np.nan)]}, range(30))
    assert [result.value for result in results] == [None, None]
    assert all("not stated" in result.note for result in results)
    assert probe(features, {"none": [None] * 30}, range(30))[0].value is None
    assert probe(features, {"same": np.full(30, 1.5)}, range(30))[0].value is None


def test_samples_of_few_subjects_are_few():
    assert probe(RNG.standard_normal((100, 4)), {"sex": np.arange(100) % 2}, np.arange(100) % 6)[0].value is None


def test_a_rare_class_is_left_out_and_named():
    label = np.array(["a"] * 30 + ["b"] * 30 + ["c"] * 3)
    results = probe(RNG.standard_normal((63, 4)), {"label": label}, range(63))
    assert results[0].value is not None
    assert "without c" in results[0].note
    assert results[1].chance == 0.5


def test_kinds_of_targets():
    for values, classes in (
        ([1, 2, 3], True), (["a", "", None], True), ([0.0, 1.0, np.nan], True), ([0.5, 1.0, 2.0], False),
        (np.arange(21), False), ([True, None, False], True), ([61, None, 45.5], False), ([2, None, 3], True),
    ):  # fmt: skip
        assert read_target(values)[2] == classes, values
    assert read_target(["a", "", None])[1].tolist() == [True, False, False]


def test_features_that_stand_still_do_no_harm():
    sex = np.arange(COUNT) % 2
    features = np.c_[sex + 0.1 * RNG.standard_normal(COUNT), np.full((COUNT, 5), 7.0)]
    assert probe(features, {"sex": sex}, range(COUNT))[0].value > 0.95


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="values"):
        probe(np.zeros((4, 2)), {"a": [1, 2]}, range(4))
    with pytest.raises(InputError, match="finite"):
        probe(np.full((4, 2), np.nan), {"a": [1, 2, 3, 4]}, range(4))
