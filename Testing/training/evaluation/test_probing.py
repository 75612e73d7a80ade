"""The probe study: planted signals are found, random weights lose, shuffled labels are at chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from rich.console import Console
from toy_probe import ToyEncoder, ToySource

from medfm_core.errors import InputError
from training.evaluation.bootstrap import BootstrapPlan, Estimate
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.encoders import randomised
from training.evaluation.evaluate import Figure, Judged, compare, evaluate
from training.evaluation.features import Extraction, extract_features
from training.evaluation.metrics import scorers
from training.evaluation.plots import draw_report
from training.evaluation.probing import RANDOM, ProbeStudy, run_study
from training.evaluation.report import Report, Row, estimate_text, plain, print_report

PLAN = BootstrapPlan(100, method="percentile")


def figure(report: Report, model: str, metric: str, shots: int | None = None) -> Figure:
    row = next(row for row in report.rows if row.model == model and row.shots == shots)
    return next(figure for figure in row.figures if figure.metric == metric)


@pytest.fixture(scope="module")
def toy() -> tuple[ToySource, torch.Tensor, torch.Tensor]:
    source = ToySource()
    learnt, random = (
        extract_features(encoder, source, Extraction(batch_size=64))
        for encoder in (ToyEncoder(), randomised(ToyEncoder(), 0))
    )
    return source, learnt, random


def test_the_planted_signal_is_found_and_random_weights_lose(toy):
    source, learnt, random = toy
    study = ProbeStudy(shots=(1, 8), seeds=3, metrics=("auroc", "brier"), intervals=PLAN)
    result = run_study(source.cohort(), learnt, study, random)
    ours, theirs = (figure(result.report, name, "auroc").mean for name in ("linear probe", RANDOM))
    assert ours.value > 0.9
    assert ours.low > theirs.value
    assert ours.subjects == 40
    difference = result.report.differences[0].figures[0]
    assert difference.mean.value == pytest.approx(ours.value - theirs.value)
    assert difference.mean.low > 0.05
    assert figure(result.report, "training frequencies", "auroc").mean.value == 0.5
    assert figure(result.report, "linear probe", "brier").mean.value < 0.15
    few = figure(result.report, "linear probe", "auroc", 8)
    assert len(few.per_seed) == 3
    assert few.mean.value == pytest.approx(np.mean(few.per_seed))
    assert figure(result.report, "linear probe", "auroc", 1).mean.value < ours.value
    assert result.predictions.shape == (80, 2)
    assert (np.asarray(source.cohort().splits)[result.rows] == "test").all()
    json.dumps(plain(result.report), allow_nan=False)


def test_shuffled_labels_are_at_chance(toy):
    source, learnt, _ = toy
    shuffled = np.random.default_rng(1).permutation(source.target)
    study = ProbeStudy(metrics=("auroc",), intervals=PLAN)
    found = figure(run_study(source.cohort(shuffled), learnt, study).report, "linear probe", "auroc").mean
    assert found.low < 0.5 < found.high


def test_features_of_the_test_never_reach_the_fit(toy):
    source, learnt, _ = toy
    study, cohort = ProbeStudy(metrics=("accuracy",), intervals=PLAN), source.cohort()
    spoilt = learnt.clone()
    test = cohort.rows("test")
    spoilt[test[1:]] = 1e3 * torch.randn(len(test) - 1, learnt.shape[1], generator=torch.Generator().manual_seed(0))
    first, second = (run_study(cohort, given, study).predictions[0] for given in (learnt, spoilt))
    assert np.array_equal(first, second)


def test_labels_with_missing_values_and_quantities_are_probed_too(toy):
    source, learnt, _ = toy
    cohort = source.cohort()
    rng = np.random.default_rng(9)
    labels = np.stack((source.target, rng.integers(0, 2, len(source))), axis=1).astype(float)
    labels[rng.random(labels.shape) < 0.3] = np.nan
    many = Cohort(cohort.subjects, cohort.studies, cohort.splits, Targets("multi_label", labels, ("lesion", "coin")))
    study = ProbeStudy(shots=(4,), seeds=2, metrics=("auroc",), intervals=PLAN)
    found = figure(run_study(many, learnt, study).report, "linear probe", "auroc")
    assert found.parts["lesion"].value > 0.8
    assert abs(found.parts["coin"].value - 0.5) < 0.25
    age = np.where(rng.random(len(source)) < 0.2, np.nan, learnt[:, 0].numpy() * 10 + 60)
    old = Cohort(cohort.subjects, cohort.studies, cohort.splits, Targets("regression", age, ("age",)))
    report = run_study(old, learnt, ProbeStudy(shots=(2,), seeds=2, intervals=PLAN)).report
    assert figure(report, "linear probe", "r2").mean.value > 0.95
    assert figure(report, "training mean", "pearson").mean.value is None
    assert figure(report, "linear probe", "r2", 2).mean.value is not None


def test_an_attentive_probe_reads_tokens():
    source = ToySource(120)
    tokens = extract_features(ToyEncoder(), source, Extraction("tokens", batch_size=64))
    study = ProbeStudy("attentive", seeds=2, metrics=("auroc",), intervals=PLAN)
    found = figure(run_study(source.cohort(), tokens, study).report, "attentive probe", "auroc")
    assert found.mean.value > 0.85
    assert len(found.per_seed) == 2


def test_what_cannot_be_studied_is_a_sentence(toy):
    source, learnt, _ = toy
    cohort = source.cohort()
    with pytest.raises(InputError, match="do not fit"):
        run_study(cohort, learnt[:10], ProbeStudy())
    with pytest.raises(InputError, match="500 shots"):
        run_study(cohort, learnt, ProbeStudy(shots=(500,), metrics=("auroc",), intervals=PLAN))
    with pytest.raises(InputError, match="'test'"):
        run_study(
            Cohort(cohort.subjects, cohort.studies, ("train",) * len(cohort), cohort.targets), learnt, ProbeStudy()
        )
    with pytest.raises(InputError, match="linear or attentive"):
        ProbeStudy("cubic")


def test_two_models_are_compared_on_the_same_rows_only():
    target, subjects = np.array([0, 1] * 10), tuple(map(str, range(20)))
    said = np.random.default_rng(0).dirichlet((1, 1), 20)
    one, other = Judged(target, (said,), subjects), Judged(1 - target, (said,), subjects)
    with pytest.raises(InputError, match="same rows"):
        compare(one, other, scorers("classification", ("a", "b"), ("auroc",)), PLAN)


def test_resamples_that_lack_a_label_keep_the_mean_over_the_others():
    target = np.random.default_rng(0).integers(0, 2, (40, 2)).astype(float)
    target[:, 1] = 0
    target[0, 1] = 1
    said = np.random.default_rng(1).random((40, 2))
    judged = Judged(target, (said,), tuple(map(str, range(40))))
    found = evaluate(judged, scorers("multi_label", ("often", "once"), ("auroc",)), PLAN)[0]
    assert found.mean.low is not None
    assert found.parts["often"].low is not None
    assert found.parts["once"].low is None
    assert "cannot be scored" in found.parts["once"].note


def test_estimates_read_as_figures_with_intervals():
    assert estimate_text(Estimate(0.8124, 0.77, 0.85)) == "0.812 [0.770, 0.850]"
    assert estimate_text(Estimate(-0.0001)) == "0.000"
    assert estimate_text(Estimate(None, note="nothing there")) == "none"


def test_reports_show_figures_intervals_and_reasons(toy, tmp_path):
    source, learnt, random = toy
    study = ProbeStudy(shots=(1,), seeds=2, metrics=("auroc", "brier"), intervals=PLAN)
    report = run_study(source.cohort(), learnt, study, random).report
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_report(report, console)
    text = console.export_text()
    assert "lesion: 80 test items of 40 subjects" in text
    assert "expected of a random order" in text
    low = figure(report, "linear probe", "auroc").mean.low
    assert f"[{low:.3f}, " in text
    draw_report(report, tmp_path / "figure.png", "auroc")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    empty = Report("nothing", (Row("model", evaluate(
        Judged(np.full(6, -1), (np.full((6, 2), 0.5),), tuple("abcdef")), scorers("classification", ("a", "b")), PLAN
    )),))  # fmt: skip
    draw_report(empty, tmp_path / "empty.png", "auroc")
    assert plain(empty)["results"][0]["metrics"]["auroc"]["note"] == "no target is known"
