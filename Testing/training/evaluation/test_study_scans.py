"""The scans of each study side by side, and studies that cannot be fused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.study_scans import group_scans

SCANS = ("T1w", "FLAIR", "FLAIR", "FLAIR", "T2w", "T1w")


def cohort(classes=(1, 1, 0, -1, 0, 1)) -> Cohort:
    targets = Targets("classification", np.array(classes), ("no", "yes"), "lesion")
    studies = ("one", "one", "one", "one", "one", "two")
    return Cohort(("a", "a", "b", "b", "c", "a"), studies, ("train", "train", "val", "val", "test", "train"), targets)


def test_scans_side_by_side():
    found = group_scans(cohort(), SCANS, ("T1w", "FLAIR"))
    assert found.cohort.subjects == ("a", "b", "a")
    assert found.cohort.studies == ("one", "one", "two")
    assert found.cohort.splits == ("train", "val", "train")
    assert found.cohort.targets.values.tolist() == [1, 0, 1]
    assert found.scans.tolist() == [[0, 1], [-1, 2], [5, -1]]  # of two FLAIR the first
    assert found.left_out == 1
    tokens = found.tokens(torch.arange(6.0)[:, None, None].expand(6, 2, 3))
    assert tokens.shape == (3, 2, 2, 3)
    assert tokens[:, :, 0, 0].tolist() == [[0, 1], [0, 2], [5, 0]]
    assert found.only(("FLAIR",)).tolist() == [[False, True], [False, True], [False, False]]
    assert found.complete(np.array([1, 0])).tolist() == [0]


def test_all_sets_of_the_manifests_own_sequences():
    found = group_scans(cohort(), SCANS)
    assert found.sequences == ("T1w", "FLAIR", "T2w")
    assert len(found.sets()) == 7
    assert found.sets()[:2] == [("T1w", "FLAIR", "T2w"), ("T1w", "FLAIR")]


def test_what_is_no_study_of_several_scans():
    with pytest.raises(InputError, match="differs between the scans of 1 of 4 studies"):
        group_scans(cohort((1, 0, 0, 0, 0, 1)), SCANS)
    with pytest.raises(InputError, match=r"2 to 5 sequences, not 1 \(CT\)"):
        group_scans(cohort(), ("CT",) * 6)
    with pytest.raises(InputError, match="no sequence named 'Flair'"):
        group_scans(cohort(), SCANS, ("T1w", "Flair"))
    quantity = Cohort(("a",), ("one",), ("train",), Targets("regression", np.array([2.5]), ("age",), "age"))
    with pytest.raises(InputError, match="'age' is a quantity"):
        group_scans(quantity, ("T1w",))
    found = group_scans(cohort(), SCANS)
    with pytest.raises(InputError, match="encode the same items"):
        found.tokens(torch.zeros(3, 2, 4))
    with pytest.raises(InputError, match="not finite"):
        found.tokens(torch.full((6, 2, 4), float("nan")))
