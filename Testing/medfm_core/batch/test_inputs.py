"""Which scans a batch finds, and what it calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_maker import make_series
from hypothesis import given
from hypothesis import strategies as st

from medfm_core.batch.cases import _safe
from medfm_core.batch.inputs import find_cases
from medfm_core.errors import InputError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(folder, *inputs, out="out"):
    return {case.name: case.source.relative_to(folder).as_posix() for case in find_cases(inputs, folder / out)}


def test_a_folder_is_searched_and_results_and_hidden_files_are_passed_over(tmp_path):
    touch(tmp_path / "b.nii.gz", tmp_path / "a.nrrd", tmp_path / "deep" / "er" / "c.MHA", tmp_path / "notes.txt")
    touch(tmp_path / ".hidden.nii", tmp_path / ".git" / "d.nii", tmp_path / "out" / "x" / "segmentation.nii.gz")
    touch(tmp_path / "old" / "analysis.json", tmp_path / "old" / "segmentation.nii.gz")
    assert found(tmp_path, tmp_path) == {"a": "a.nrrd", "b": "b.nii.gz", "c": "deep/er/c.MHA"}


def test_names_are_as_long_as_they_must_be_and_come_once(tmp_path):
    touch(*(tmp_path / patient / "ct.nii.gz" for patient in ("p1", "p2")), tmp_path / "pet.nii")
    touch(tmp_path / "PET.nrrd")
    assert found(tmp_path, tmp_path) == {
        "p1-ct": "p1/ct.nii.gz",
        "p2-ct": "p2/ct.nii.gz",
        "PET": "PET.nrrd",
        "pet-2": "pet.nii",
    }


def test_a_scan_that_is_named_twice_comes_once(tmp_path):
    touch(tmp_path / "a.nii")
    assert found(tmp_path, tmp_path / "a.nii", tmp_path, tmp_path / "a.nii") == {"a": "a.nii"}


def test_lists_are_relative_to_themselves_and_may_name_what_is_not_there(tmp_path):
    touch(tmp_path / "data" / "a.nii")
    (tmp_path / "data" / "list.txt").write_text("# scans\n\n a.nii \nmissing.nii\n", encoding="utf-8-sig")
    assert found(tmp_path, tmp_path / "data" / "list.txt") == {"a": "data/a.nii", "missing": "data/missing.nii"}


def test_a_csv_names_paths_cases_and_series(tmp_path):
    table = tmp_path / "cohort.csv"
    table.write_text("Case,Path,Series,age\nfirst,scans/a.nii,,50\n,scans/b,3,60\n", encoding="utf-8")
    cases = find_cases([table], tmp_path / "out")
    assert [(c.name, c.source.name, c.series) for c in cases] == [("first", "a.nii", None), ("b", "b", "3")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "where\nx.nii\n", "has no column of paths (it has where)"),
        ("a.csv", "", "has no column of paths (it has none)"),
        ("a.csv", "path,case\n,one\n", "line 2 of"),
        ("a.txt", "# nothing\n", "no scan was found"),
        ("folder/readme.md", "", "no scan was found"),
    ],
)
def test_inputs_that_name_no_scan_are_refused(tmp_path, name, text, words):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(InputError) as error:
        find_cases([path if path.parent == tmp_path else path.parent], tmp_path / "out")
    assert words in str(error.value)


def test_what_does_not_exist_and_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_cases([tmp_path / "no"], tmp_path / "out")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        find_cases([tmp_path / "a.txt"], tmp_path / "out")


def test_every_ct_series_of_a_dicom_folder_is_a_case(tmp_path):
    make_series(tmp_path / "study" / "one")
    make_series(tmp_path / "patients" / "two" / "a")
    assert found(tmp_path, tmp_path / "study" / "one") == {"one": "study/one"}
    touch(tmp_path / "patients" / "c.nii")
    assert found(tmp_path, tmp_path / "patients") == {"c": "patients/c.nii", "a": "patients/two/a"}


@given(st.text(max_size=300))
def test_any_name_becomes_that_of_a_folder(name):
    safe = _safe(name)
    assert 0 < len(safe.encode()) <= 90
    assert Path(safe).name == safe
    assert safe not in (".", "..")
    assert not safe.startswith(("=", "+", "-", "@", "."))
