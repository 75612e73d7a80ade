"""Encoders side by side: figures as scored by hand, paired leads, and few labels that are the same for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from medfm_core.errors import InputError
from training.data.manifest import ManifestRow, TargetColumn
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.cohort import Cohort, Targets, within_kinds
from training.evaluation.encoder_table import TableStudy, drawn_labels, has_validation, probe_entries, table_rows
from training.evaluation.encoder_table_page import page
from training.evaluation.held_out import HeldOut, Joined, joined_columns

HEADS = 60
STUDY = TableStudy(8, 2, BootstrapPlan(resamples=60))


def cohort(targets: Targets) -> Cohort:
    """Three scans per head; the last third of the heads is held out, a tenth is val."""
    subjects = tuple(f"h{n // 3:02d}" for n in range(3 * HEADS))
    splits = tuple("test" if n >= 2 * HEADS else "val" if n % 30 < 3 else "train" for n in range(3 * HEADS))
    return Cohort(subjects, tuple(f"{n % 3}" for n in range(3 * HEADS)), splits, targets)


@pytest.fixture(scope="module")
def planted():
    """Two targets of the head, of which one is known of some heads alone, and features that show them."""
    rng = np.random.default_rng(0)
    lesion = np.repeat(rng.integers(0, 2, HEADS), 3)
    side = np.where(lesion == 1, np.repeat(rng.integers(0, 2, HEADS), 3), -1)
    age = np.repeat(rng.uniform(20, 90, HEADS), 3)
    cohorts = {
        "lesion": cohort(Targets("classification", lesion, ("no", "yes"), "lesion")),
        "side": cohort(Targets("classification", side, ("left", "right"), "side")),
        "age": cohort(Targets("regression", age, ("age",), "age")),
    }
    noise = rng.normal(size=(3 * HEADS, 8))
    shown = np.stack([lesion, side, age / 30], axis=1) + 0.4 * rng.normal(size=(3 * HEADS, 3))
    return cohorts, {"good": torch.from_numpy(np.concatenate([shown, noise], 1)), "blind": torch.from_numpy(noise)}


@pytest.fixture(scope="module")
def rows(planted):
    cohorts, features = planted
    entries = [entry for name in features for entry in probe_entries(name, features[name], cohorts, STUDY)]
    return {(row.entry.model, row.entry.shots): row for row in table_rows(entries, cohorts, STUDY)}


def test_figures_are_those_of_the_held_out_scans(planted, rows):
    cohorts, _ = planted
    row = rows["good", None]
    test = cohorts["side"].rows("test", known=False)
    known = cohorts["side"].targets.values[test] >= 0
    answers = row.entry.predictions["side"][0]
    assert len(answers) == HEADS == len(test)
    assert row.figures["side"].value == pytest.approx(
        roc_auc_score(cohorts["side"].targets.values[test][known], answers[known, 1])
    )
    parts = [2 * row.figures["lesion"].value - 1, 2 * row.figures["side"].value - 1, row.figures["age"].value]
    assert row.mean.value == pytest.approx(np.mean(parts))
    assert row.mean.low < row.mean.value < row.mean.high
    assert row.mean.subjects == HEADS // 3
    assert set(row.others["age"]) == {"r2", "mae", "rmse", "pearson"}


def test_a_column_is_the_mean_of_its_cohorts_and_hides_what_contrast_turns_round(planted):
    """The third scan of every head shows age the other way round: no probe of all scans can read it."""
    age, kinds = planted[0]["age"], ["a", "b", "c"] * HEADS
    rng = np.random.default_rng(2)
    seen = np.where(np.array(kinds) == "c", -1, 1) * (age.targets.values - 55) / 20
    features = torch.from_numpy(seen[:, None] + 0.3 * rng.normal(size=(3 * HEADS, 1)))
    apart = {f"age, {kind}": part for kind, part in within_kinds(age, kinds).items()}
    assert [int(part.targets.known.sum()) for part in apart.values()] == [HEADS] * 3
    study = replace(STUDY, columns={"age": tuple(apart)})
    row = table_rows(probe_entries("x", features, apart, study), apart, study)[0]
    test = age.rows("test", known=False)
    by_hand = [
        spearmanr(part.targets.values[test][part.targets.known[test]], answers[part.targets.known[test]])[0]
        for part, (answers,) in zip(apart.values(), row.entry.predictions.values(), strict=True)
    ]
    assert row.figures["age"].value == row.mean.value == pytest.approx(np.mean(by_hand))
    together = table_rows(probe_entries("x", features, {"age": age}, STUDY), {"age": age}, STUDY)[0]
    assert row.mean.value > 0.9 > 0.6 > together.mean.value
    text = page((row,), apart, study)
    assert "| age, Spearman's rho | mean" in text
    assert "one probe for each sequence" in text
    with pytest.raises(InputError, match="no item is of a known kind"):
        within_kinds(age, [None] * len(age))


def test_few_subjects_of_val_choose_nothing(planted, rows):
    cohorts, _ = planted
    chosen = rows["good", None].entry.details["regularisation"]
    assert {name: one["chosen_by"] for name, one in chosen.items()} == dict.fromkeys(cohorts, "5 folds")
    lesion = cohorts["lesion"]
    assert not has_validation(lesion)
    subjects = tuple(f"h{n}" for n in range(len(lesion)))
    many = Cohort(subjects, lesion.studies, ("val",) * 60 + lesion.splits[60:], lesion.targets)
    assert has_validation(many)
    values = torch.from_numpy(np.random.default_rng(1).normal(size=(len(lesion), 4)))
    entry = probe_entries("x", values, {"lesion": many}, TableStudy(0))[0]
    assert entry.details["regularisation"]["lesion"]["chosen_by"] == "val"


def test_the_lead_is_paired_and_says_who_is_better(rows):
    assert rows["good", None].lead is None
    lead = rows["blind", None].lead
    assert lead.value == pytest.approx(rows["good", None].mean.value - rows["blind", None].mean.value)
    assert 0 < lead.low < lead.high
    assert rows["blind", 8].lead.value == pytest.approx(rows["good", 8].mean.value - rows["blind", 8].mean.value)
    assert rows["good", 8].mean.value < rows["good", None].mean.value
    assert abs(rows["blind", None].mean.value) < 0.4


def test_few_labels_are_as_many_as_said_and_the_same_every_time(planted):
    cohorts, _ = planted
    for name, count in (("lesion", 16), ("side", 16), ("age", 8)):
        labels = drawn_labels(cohorts[name], STUDY, 0)
        assert labels.known.sum() == count
        assert np.array_equal(labels.known, drawn_labels(cohorts[name], STUDY, 0).known)
        assert not np.array_equal(labels.known, drawn_labels(cohorts[name], STUDY, 1).known)
        assert set(np.array(cohorts[name].splits)[labels.known]) == {"train"}


def test_the_page_has_a_line_per_row_and_marks_what_is_clear(planted, rows):
    text = page(tuple(rows.values()), planted[0], STUDY)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(rows)
    assert "lesion, AUROC | side, AUROC | age, Spearman's rho" in lines[0]
    assert "**" in next(line for line in lines if line.startswith("| blind | all"))
    assert "8 scans of each class" in text
    assert "trained on 120 scans of 40 subjects, regularisation chosen on inner folds" in text
    assert "With 8 labels" not in page(tuple(rows.values()), planted[0], TableStudy(0))


def test_what_cannot_be_asked(planted):
    cohorts, features = planted
    with pytest.raises(InputError, match="do not fit"):
        probe_entries("x", features["good"][:9], cohorts, STUDY)
    with pytest.raises(InputError, match="3 shots"):
        TableStudy(3)
    with pytest.raises(InputError, match="draws"):
        TableStudy(draws=0)
    labels = {"both": cohort(Targets("multi_label", np.ones((3 * HEADS, 1)), ("a",), "a"))}
    entry = probe_entries("good", features["good"], cohorts, TableStudy(0))[0]
    with pytest.raises(InputError, match="multi_label"):
        table_rows([type(entry)("m", None, {"both": entry.predictions["age"]})], labels, STUDY)


def rows_of(sides, first=0, split=None):
    return [
        ManifestRow(n, f"s{first + n}", "v", None, "MR", split=split, targets={"side": side})
        for n, side in enumerate(sides)
    ]


def test_classes_that_do_not_count_are_not_known():
    columns = joined_columns({"side": TargetColumn("side", ("both", "left"))},
                             {"side": TargetColumn("side", ("left", "right"))})  # fmt: skip
    assert columns["side"].categories == ("both", "left", "right")
    rows = tuple(rows_of(["right", "both", None, "left"], split="train"))
    held_out = HeldOut(Joined([[]]), rows, columns)
    assert held_out.cohort("side", ("left", "right")).targets.values.tolist() == [1, -1, -1, 0]
    assert held_out.cohort("side").targets.values.tolist() == [2, 0, -1, 1]
    with pytest.raises(InputError, match="never is up"):
        held_out.cohort("side", ("left", "up"))
    with pytest.raises(InputError, match="numbers in one"):
        joined_columns(columns, {"side": TargetColumn("side")})
    assert joined_columns(columns, {}) == {}


class Part(list):
    digest = "a"

    def sample(self, item, key):
        return {"value": self[item], "position": key.position}


def test_joined_sources_count_through():
    from training.engine.draw import DrawKey

    joined = Joined([Part([1, 2]), Part([3, 4, 5])])
    assert len(joined) == 5
    assert [joined.sample(n, DrawKey(0, n))["value"] for n in range(5)] == [1, 2, 3, 4, 5]
    assert joined.digest
    assert not Joined([Part([1]), [2]]).digest
