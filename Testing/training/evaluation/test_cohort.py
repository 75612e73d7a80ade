"""Cohorts and targets: leakage is refused, columns are read as what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medfm_core.errors import InputError
from training.data.manifest import ManifestRow, TargetColumn
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.targets import cohort_of, expand, read_targets


def rows_of(**columns: list) -> list[ManifestRow]:
    count = len(next(iter(columns.values())))
    targets = [{name: values[n] for name, values in columns.items()} for n in range(count)]
    return [
        ManifestRow(n + 2, f"s{n}", "one", Path("x"), "CT", split="train", targets=targets[n]) for n in range(count)
    ]


def test_a_subject_in_two_splits_is_refused_without_naming_it():
    targets = Targets("classification", np.array([0, 1, 1]), ("a", "b"))
    with pytest.raises(InputError, match="1 subject is in more than one split") as problem:
        Cohort(("secret", "secret", "other"), ("1", "2", "1"), ("train", "test", "test"), targets)
    assert "secret" not in str(problem.value)


def test_rows_without_a_split_or_target_are_not_used():
    targets = Targets("classification", np.array([0, 1, -1, 1]), ("a", "b"))
    cohort = Cohort(("a", "a", "b", "c"), tuple("1234"), ("train", "", "train", "test"), targets)
    assert list(cohort.rows("train")) == [0]
    assert list(cohort.rows("train", known=False)) == [0, 2]
    assert list(cohort.rows("val")) == []
    with pytest.raises(InputError, match="split 'dev'"):
        Cohort(("a",), ("1",), ("dev",), targets.take(np.array([0])))


def test_columns_are_read_as_what_they_hold():
    grade = read_targets(rows_of(g=[0.0, 1.0, 2.0, None] * 5), [TargetColumn("g")])
    assert (grade.task, grade.names) == ("classification", ("0", "1", "2"))
    assert list(grade.values[:4]) == [0, 1, 2, -1]
    age = read_targets(rows_of(age=[61.0, 45.0, 70.0, None]), [TargetColumn("age")])
    assert age.task == "regression"
    assert np.isnan(age.values[3])
    side = read_targets(rows_of(side=["left", None, "right"]), [TargetColumn("side", ("left", "right"))])
    assert (side.task, side.names, list(side.values)) == ("classification", ("left", "right"), [0, -1, 1])
    both = read_targets(rows_of(a=[0.0, 1.0], b=[None, 1.0]), [TargetColumn("a"), TargetColumn("b")])
    assert (both.task, both.names) == ("multi_label", ("a", "b"))
    assert np.isnan(both.values[0, 1])
    assert list(both.known) == [True, True]


def test_columns_that_do_not_fit_are_sentences():
    side = TargetColumn("side", ("left", "right"))
    with pytest.raises(InputError, match="categories"):
        read_targets(rows_of(side=["left", "right"]), [side], "regression")
    with pytest.raises(InputError, match="something else than 0, 1"):
        read_targets(rows_of(a=[0.0, 3.0], b=[0.0, 1.0]), [TargetColumn("a"), TargetColumn("b")])
    with pytest.raises(InputError, match="1 class"):
        read_targets(rows_of(a=[1.0, 1.0]), [TargetColumn("a")], "classification")
    with pytest.raises(InputError, match="2 targets make no regression"):
        read_targets(rows_of(a=[0.0, 1.0], b=[0.0, 1.0]), [TargetColumn("a"), TargetColumn("b")], "regression")


def test_patterns_name_several_columns_and_unknown_ones_are_refused():
    columns = {name: TargetColumn(name) for name in ("finding_cyst", "finding_stone", "age")}
    assert expand(("finding_*", "finding_cyst"), columns) == ("finding_cyst", "finding_stone")
    with pytest.raises(InputError, match="age"):
        expand(("agee",), columns)
    cohort = cohort_of(rows_of(age=[61.5, 45.0, 70.0]), columns, ("age",))
    assert cohort.targets.name == "age"
    assert cohort.subjects == ("s0", "s1", "s2")
