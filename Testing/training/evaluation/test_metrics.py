"""Figures of merit: equal to scikit-learn's and scipy's where they exist, None with a reason where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medfm_core.errors import InputError
from training.evaluation.metrics import Scorer, metric_names, scorers
from training.evaluation.segmentation import dice, dice_table

EXAMPLES = settings(max_examples=25, deadline=None)


def binary_data(seed: int, rows: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Both classes, and scores with ties."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(rows) % 3 == 0).astype(int)
    score = rng.integers(0, levels, rows) / levels
    score[0], score[1] = 0.0, 1 - 1 / levels
    return target, np.stack((1 - score, score), axis=1)


def value(task: str, metric: str, target: np.ndarray, prediction: np.ndarray, names: int = 2) -> float:
    score = Scorer(task, metric, tuple(map(str, range(names))))(target, prediction)
    assert score.value is not None, score.note
    return score.value


@EXAMPLES
@given(st.integers(0, 10_000), st.integers(4, 60), st.sampled_from((2, 5, 1000)))
def test_two_classes_are_scored_as_by_scikit_learn(seed, rows, levels):
    target, said = binary_data(seed, rows, levels)
    answer = said.argmax(1)
    expected = {
        "auroc": sk.roc_auc_score(target, said[:, 1]),
        "auprc": sk.average_precision_score(target, said[:, 1]),
        "accuracy": sk.accuracy_score(target, answer),
        "balanced_accuracy": sk.balanced_accuracy_score(target, answer),
        "f1": sk.f1_score(target, answer),
        "brier": sk.brier_score_loss(target, said[:, 1]),
    }
    found = {name: value("classification", name, target, said) for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


@EXAMPLES
@given(st.integers(0, 10_000), st.integers(12, 60))
def test_more_classes_are_scored_as_by_scikit_learn(seed, rows):
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(rows) % 4)
    said = rng.dirichlet(np.ones(4), rows)
    answer = said.argmax(1)
    expected = {
        "auroc": sk.roc_auc_score(target, said, multi_class="ovr"),
        "auprc": sk.average_precision_score(np.eye(4)[target], said, average="macro"),
        "accuracy": sk.accuracy_score(target, answer),
        "balanced_accuracy": sk.balanced_accuracy_score(target, answer),
        "f1": sk.f1_score(target, answer, average="macro"),
        "brier": np.mean(((np.eye(4)[target] - said) ** 2).sum(1)),
    }
    found = {name: value("classification", name, target, said, 4) for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


@EXAMPLES
@given(st.integers(0, 10_000), st.integers(4, 60))
def test_quantities_are_scored_as_by_scikit_learn_and_scipy(seed, rows):
    rng = np.random.default_rng(seed)
    target = np.round(rng.normal(50, 10, rows), 0)
    target[:2] = 10, 90
    said = target + rng.normal(0, 5, rows)
    expected = {
        "mae": sk.mean_absolute_error(target, said),
        "rmse": np.sqrt(sk.mean_squared_error(target, said)),
        "r2": sk.r2_score(target, said),
        "pearson": stats.pearsonr(target, said).statistic,
        "spearman": stats.spearmanr(target, said).statistic,
    }
    found = {name: value("regression", name, target, said, 1) for name in expected}
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_calibration_error_is_the_one_of_a_plain_loop_over_bins():
    rng = np.random.default_rng(3)
    said = rng.random(500)
    target = (rng.random(500) < said**2).astype(int)
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (said >= low) & (said < low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs(said[inside].mean() - target[inside].mean())
    found = value("classification", "calibration_error", target, np.stack((1 - said, said), axis=1))
    assert found == pytest.approx(total, abs=1e-9)
    assert found > 0.1


@pytest.mark.parametrize("metric", ["auroc", "auprc", "balanced_accuracy", "f1"])
def test_one_class_gives_none_with_a_reason(metric):
    said = np.array([[0.2, 0.8], [0.6, 0.4]])
    score = Scorer("classification", metric, ("a", "b"))(np.array([1, 1]), said)
    assert score.value is None
    assert "one class" in score.note


@pytest.mark.parametrize("task", ["classification", "multi_label", "regression"])
def test_no_metric_crashes_or_gives_0_on_nothing_nan_or_constants(task):
    names = ("a",) if task == "regression" else ("a", "b")
    shape = (6,) if task == "regression" else (6, 2)
    good = np.linspace(0, 1, 6) if task == "regression" else np.array([0, 1, 0, 1, 1, 0])
    good = np.stack((good, good), axis=1) if task == "multi_label" else good
    unknown = np.full(good.shape, np.nan)
    for scorer in scorers(task, names):
        nothing = scorer(unknown, np.full(shape, 0.5))
        broken = scorer(good, np.full(shape, np.nan))
        empty = scorer(good[:0], np.zeros((0, *shape[1:])))
        for score in (nothing, broken, empty):
            assert score.value is None
            assert score.note
        constant = scorer(good, np.full(shape, 0.5))
        if scorer.metric in ("auroc", "auprc", "pearson", "spearman"):
            assert constant.value is None
            assert "equal" in constant.note
        else:
            assert constant.value is not None


def test_predictions_that_are_no_probabilities_are_not_scored_as_such():
    score = Scorer("classification", "brier", ("a", "b"))(np.array([0, 1]), np.array([[3.0, -2.0], [0.0, 1.0]]))
    assert score.value is None
    assert "probabilities" in score.note


@pytest.mark.parametrize("missing", [-1.0, np.nan])
def test_missing_targets_change_nothing(missing):
    target, said = binary_data(1, 30, 100)
    more = np.append(target, [missing] * 5)
    noise = np.concatenate((said, np.random.default_rng(0).dirichlet((1, 1), 5)))
    for scorer in scorers("classification", ("no", "yes")):
        assert scorer(more, noise).value == scorer(target, said).value
        assert scorer(more, noise).count == 30


def test_labels_are_scored_each_on_what_is_known_of_it_and_the_mean_names_what_is_left_out():
    target = np.array([[0, 1, 1.0], [1, np.nan, 1], [1, 0, 1], [0, -1, 1], [0, 1, 1]])
    said = np.array([[0.1, 0.9, 0.5], [0.8, 0.0, 0.6], [0.3, 0.2, 0.4], [0.6, 1.0, 0.3], [0.2, 0.1, 0.2]])
    score = Scorer("multi_label", "auroc", ("cyst", "stone", "always"))(target, said)
    assert score.parts["cyst"].value == pytest.approx(sk.roc_auc_score(target[:, 0], said[:, 0]))
    assert score.parts["stone"].value == pytest.approx(0.5)
    assert score.parts["stone"].count == 3
    assert score.parts["always"].value is None
    assert score.value == pytest.approx((score.parts["cyst"].value + 0.5) / 2)
    assert "always" in score.note


def test_a_class_that_the_targets_lack_is_left_out_of_the_mean_and_named():
    target = np.array([0, 1, 0, 1])
    said = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.2, 0.7, 0.1]])
    score = Scorer("classification", "auroc", ("low", "middle", "high"))(target, said)
    assert score.value == 1.0
    assert "high" in score.note
    assert score.parts["high"].value is None


def test_dice_is_per_class_and_absent_classes_are_not_scored():
    target = np.zeros((2, 3, 4), int)
    target[0], target[1, 0] = 1, 255
    answer = np.zeros_like(target)
    answer[0, :2], answer[1, 0], answer[1, 2] = 1, 2, 3
    score = dice(target, answer, {1: "liver", 2: "spleen", 3: "kidney"})
    assert score.parts["liver"].value == pytest.approx(2 * 8 / (12 + 8))
    assert score.parts["spleen"].value is None  # shown by the answer only where the truth is not known
    assert score.parts["spleen"].note == "absent"
    assert "4 voxels" in score.parts["kidney"].note
    assert score.value == score.parts["liver"].value
    nothing = dice(np.full((2, 2, 2), -1), np.zeros((2, 2, 2), int), {1: "liver"})
    assert nothing.value is None


def test_dice_over_cases_is_the_mean_over_those_that_show_the_class():
    names = {1: "liver", 2: "spleen"}
    full = dice(np.array([1, 2]), np.array([1, 2]), names)
    half = dice(np.array([1, 1, 0]), np.array([1, 0, 0]), names)
    table = dice_table([full, half], ("liver", "spleen"))
    score = Scorer("segmentation", "dice", ("liver", "spleen"))(np.zeros(2), table)
    assert score.parts["liver"].value == pytest.approx((1 + 2 / 3) / 2)
    assert score.parts["spleen"].value == 1.0
    assert score.parts["spleen"].count == 1


def test_wrong_names_and_shapes_are_sentences():
    with pytest.raises(InputError, match="auroc"):
        Scorer("classification", "auroq", ("a", "b"))
    with pytest.raises(InputError, match="do not fit"):
        Scorer("classification", "auroc", ("a", "b"))(np.zeros(3), np.zeros((3, 5)))
    with pytest.raises(InputError, match="regression"):
        metric_names("regresion")
