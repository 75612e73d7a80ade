from collections import Counter
from pathlib import Path

import pytest

from medfm_core.errors import InputError
from training.data.manifest import Manifest, ManifestRow, TargetColumn
from training.data.splits import (
    Fractions,
    check_leakage,
    ensure_splits,
    fold_subjects,
    held_out,
    leave_one_out,
    split_subjects,
    strata_of,
)

NAMES = [f"subject {number}" for number in range(1000)]


def manifest_of(values, column=None, split=None):
    rows = tuple(
        ManifestRow(number, f"s{number // 2}", "first", Path(f"{number}.nii"), "CT", written=f"{number}.nii",
                    split=split, targets={"y": value})
        for number, value in enumerate(values)
    )  # fmt: skip
    return Manifest(Path("m.csv"), rows, {"y": column or TargetColumn("y")})


def test_a_split_depends_on_names_and_seed_alone():
    split = split_subjects(NAMES, seed=3)
    assert split == split_subjects(reversed(NAMES), seed=3)
    assert split != split_subjects(NAMES, seed=4)
    counts = Counter(split.values())
    assert counts["train"] == pytest.approx(800, abs=40)
    assert counts["val"] == pytest.approx(100, abs=30)


def test_subjects_added_later_move_nobody():
    before, after = split_subjects(NAMES[:500]), split_subjects(NAMES)
    assert all(after[name] == split for name, split in before.items())


def test_strata_have_the_same_shares():
    strata = {name: "rare" if number % 20 == 0 else "usual" for number, name in enumerate(NAMES)}
    split = split_subjects(NAMES, fractions=Fractions(0.6, 0.2, 0.2), strata=strata)
    rare = Counter(split[name] for name in NAMES if strata[name] == "rare")
    assert rare["train"] == pytest.approx(30, abs=1)
    assert rare["val"] == pytest.approx(10, abs=1)
    assert Counter(split.values()) == {"train": 600, "val": 200, "test": 200}


def test_tiny_strata_do_not_all_go_to_one_split():
    strata = {name: str(number // 2) for number, name in enumerate(NAMES[:100])}
    counts = Counter(split_subjects(NAMES[:100], strata=strata).values())
    assert counts == {"train": 80, "val": 10, "test": 10}


def test_fractions_without_a_split():
    split = split_subjects(NAMES, fractions=Fractions(0.9, 0.1, 0.0))
    assert set(split.values()) == {"train", "val"}
    with pytest.raises(InputError, match="sum to 1"):
        Fractions(0.5, 0.2, 0.2)


def test_folds_are_even_and_disjoint():
    folds = fold_subjects(NAMES[:103], 5, seed=1)
    assert sorted(Counter(folds.values()).values()) == [20, 20, 21, 21, 21]
    split = held_out(folds, 2)
    assert {name for name, part in split.items() if part == "val"} == {n for n, fold in folds.items() if fold == 2}
    with pytest.raises(InputError, match="no fold 5"):
        held_out(folds, 5)
    with pytest.raises(InputError, match="impossible"):
        fold_subjects(NAMES[:3], 4)


def test_stratified_folds():
    strata = {name: "a" if number < 10 else "b" for number, name in enumerate(NAMES[:50])}
    folds = fold_subjects(NAMES[:50], 5, strata=strata)
    assert Counter(folds[name] for name in NAMES[:10]) == dict.fromkeys(range(5), 2)


def test_leave_one_out():
    folds = leave_one_out(["b", "a", "b", "c"])
    assert folds == {"b": 1, "a": 0, "c": 2}
    with pytest.raises(InputError):
        leave_one_out(["a"])


def test_strata_of_numbers_categories_and_missing_values():
    numbers = strata_of(manifest_of([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, None, None]), "y", bins=2)
    assert numbers == {"s0": "0", "s1": "0", "s2": "0", "s3": "1", "s4": "1", "s5": "1", "s6": "missing"}
    both = strata_of(manifest_of(["x", "y", "x", "x"], TargetColumn("y", ("x", "y"))), "y")
    assert both == {"s0": "x+y", "s1": "x"}
    with pytest.raises(InputError, match="no target named 'z'"):
        strata_of(manifest_of([1]), "z")


def test_all_rows_of_a_subject_stay_together():
    manifest = ensure_splits(manifest_of(range(200)))
    check_leakage(manifest)
    assert all(a.split == b.split for a, b in zip(manifest.rows[::2], manifest.rows[1::2], strict=True))
    given = manifest_of(range(4), split="val")
    assert ensure_splits(given) is given


def test_leakage_by_content_is_found():
    manifest = ensure_splits(manifest_of(range(200)))
    train = next(row for row in manifest.rows if row.split == "train")
    other = next(row for row in manifest.rows if row.split == "test")
    with pytest.raises(InputError, match=f"row {max(train.number, other.number)}: leakage"):
        check_leakage(manifest, {train.identity: "same", other.identity: "same"})
