"""The fusion study: two scans tell what neither tells alone, and what is missing is not looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_studies import SEQUENCES, ToyStudies

from medfm_core.errors import InputError
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.encoders import randomised
from training.evaluation.features import Extraction, extract_features
from training.evaluation.fusion_page import page, report_of
from training.evaluation.fusion_probe import FusionPlan
from training.evaluation.fusion_study import AS_FOUND, OWN, FusionStudy, check_study, run_fusion_study
from training.evaluation.study_scans import group_scans

PLAN = BootstrapPlan(60, method="percentile")
STUDY = FusionStudy(("average",), FusionPlan(least_steps=60), seeds=2, metrics=("auroc",), intervals=PLAN)


def encoded(toy: ToyStudies, net=None) -> torch.Tensor:
    inputs = toy.inputs()
    return extract_features(net or inputs.encoder, toy, Extraction("tokens", batch_size=64))


@pytest.fixture(scope="module")
def toy():
    toy = ToyStudies()
    return group_scans(toy.cohort, toy.sequences), encoded(toy), encoded(toy, randomised(toy.inputs().encoder, 0))


def found(rows, model, *given):
    return next(row for row in rows if row.model == model and row.given == given)


def auroc(row):
    return row.figures[0].mean.value


def test_together_they_tell_more_than_each_alone(toy):
    studies, features, random = toy
    study = FusionStudy(("average", "product"), STUDY.plan, None, 1, ("auroc",), PLAN)
    rows = run_fusion_study(studies, features, study, random)
    for name in study.fusions:
        both = found(rows, name, *SEQUENCES)
        assert auroc(both) > 0.93
        assert both.figures[0].mean.subjects == 80
        assert both.gains == {}
        for sequence in SEQUENCES:
            for model in (name, OWN):
                alone = found(rows, model, sequence)
                assert 0.6 < auroc(alone) < 0.9
                assert alone.gains[name].mean.low > 0
                assert alone.gains[name].mean.value == pytest.approx(auroc(both) - auroc(alone))
        assert found(rows, f"{name}, random weights", *SEQUENCES).gains[name].mean.value is not None
    assert len(rows) == 2 * 3 + 2 + 2
    text = page(studies, rows, study)
    assert "| T1w + FLAIR |  | " in text
    assert "| T1w | FLAIR | " in text
    assert "**" in text


def test_the_content_of_a_missing_scan_changes_nothing():
    toy = ToyStudies(120, lacking=12)
    studies, features = group_scans(toy.cohort, toy.sequences), encoded(toy)
    rows = run_fusion_study(studies, features, STUDY)
    flair_of_test = [n for n, name in enumerate(toy.sequences) if name == "FLAIR" and toy.cohort.splits[n] == "test"]
    spoilt = features.clone()
    spoilt[flair_of_test] = 50.0
    others = run_fusion_study(studies, spoilt, STUDY)
    same = [
        np.array_equal(row.judged.predictions[0], other.judged.predictions[0])
        for row, other in zip(rows, others, strict=True)
    ]
    assert dict(zip([(row.model, row.given) for row in rows], same, strict=True)) == {
        ("average", SEQUENCES): False, ("average", ("T1w",)): True, ("average", ("FLAIR",)): False,
        ("average", AS_FOUND): False, (OWN, ("T1w",)): True, (OWN, ("FLAIR",)): False,
    }  # fmt: skip


def test_studies_that_lack_a_scan_are_judged_with_what_they_have():
    toy = ToyStudies(120, lacking=12)
    studies, features = group_scans(toy.cohort, toy.sequences), encoded(toy)
    rows = run_fusion_study(studies, features, STUDY)
    assert {len(row.rows) for row in rows if row.given != AS_FOUND} == {28}  # the same ones in all lines
    as_found = found(rows, "average", *AS_FOUND)
    assert len(as_found.rows) == 40
    assert "what each has (40 studies)" in page(studies, rows, STUDY)
    report = report_of(studies, rows, STUDY)
    assert report.details["studies_with"]["test"] == {"T1w": 40, "FLAIR": 28}
    assert report.details["complete_test_studies"] == 28
    assert report.details["training"]["average"]["lr"] == 0.05
    assert report.rows[1].details["missing"] == ["FLAIR"]


def test_shuffled_classes_are_at_chance(toy):
    from dataclasses import replace

    studies, features, _ = toy
    targets = studies.cohort.targets
    values = np.random.default_rng(3).permutation(targets.values)
    cohort = replace(studies.cohort, targets=replace(targets, values=values))
    rows = run_fusion_study(replace(studies, cohort=cohort), features, STUDY)
    assert abs(auroc(found(rows, "average", *SEQUENCES)) - 0.5) < 0.2


def test_what_cannot_be_studied_is_told_before_anything_is_learnt():
    toy = ToyStudies(60)
    studies = group_scans(toy.cohort, toy.sequences)
    with pytest.raises(InputError, match="average, late"):
        check_study(studies, FusionStudy(("early",), lr=1e-3))
    with pytest.raises(InputError, match="auroc"):
        check_study(studies, FusionStudy(metrics=("aurok",)))
    with pytest.raises(InputError, match="1 or more"):
        FusionStudy(seeds=0)
    nobody = ToyStudies(60, lacking=20)
    with pytest.raises(InputError, match="no test study has all of T1w, FLAIR"):
        check_study(group_scans(nobody.cohort, nobody.sequences), FusionStudy())
