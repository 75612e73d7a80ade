"""What statements tell of an organ: there, not there, or not known."""

import numpy as np
import pytest

from medfm_core.errors import InputError
from training.data.organ_truth import structures_of, unit_truth
from training.data.statements import Statement, StudyStatements, read_statements, write_statements

FINDINGS = ("renal_cyst", "kidney_stone", "hepatic_cyst")
LEFT = structures_of("kidney_left")
NEAR, FAR = ((0, 0, 0), (10, 10, 10)), ((100, 100, 100), (110, 110, 110))
CROP = ((-20, -20, -20), (40, 40, 40))


def study(*lines, **more):
    return StudyStatements("s", "ct", tuple(lines), **more)


def truth(said, crop=None):
    return unit_truth(said, LEFT, FINDINGS, crop).tolist()


def test_what_is_not_said_is_unknown_unless_the_study_is_complete():
    said = (Statement("kidney_left", "present", "renal_cyst"),)
    assert truth(study(*said)) == [1, 0, 0]
    assert truth(study(*said, complete=True)) == [1, -1, -1]
    assert truth(study(*said, complete=True, hidden=("kidney_stone",))) == [1, 0, -1]


def test_the_other_side_says_nothing_of_this_one():
    other = Statement("kidney_right", "present", "renal_cyst", side="right")
    assert truth(study(other)) == [0, 0, 0]
    assert truth(study(other, complete=True)) == [-1, -1, -1]
    assert truth(study(Statement("kidney", "absent", "renal_cyst"))) == [-1, 0, 0]  # a group speaks of both


def test_the_stronger_word_counts_and_uncertain_is_unknown():
    lines = [Statement("kidney_left", state, "renal_cyst", "words") for state in ("present", "absent")]
    assert truth(study(*lines)) == truth(study(*reversed(lines))) == [1, 0, 0]
    assert truth(study(Statement("kidney_left", "uncertain", "renal_cyst"), complete=True)) == [0, -1, -1]


def test_a_finding_outside_the_crop_is_unknown_there():
    near, far = (Statement("kidney_left", "present", "renal_cyst", box_ras_mm=box) for box in (NEAR, FAR))
    assert truth(study(near, complete=True), CROP) == [1, -1, -1]
    assert truth(study(far, complete=True), CROP) == [0, -1, -1]
    assert truth(study(far, near, complete=True), CROP) == truth(study(near, far, complete=True), CROP) == [1, -1, -1]
    huge = Statement("kidney_left", "present", "renal_cyst", box_ras_mm=((-500, -500, -500), (500, 500, 500)))
    assert truth(study(huge, complete=True), CROP) == [1, -1, -1]


def test_sentences_of_a_complete_study_only_put_truth_into_words():
    wrong = Statement("kidney_left", "present", "renal_cyst", "A cyst of the left kidney.")
    assert truth(study(wrong, complete=True)) == [-1, -1, -1]


def test_files_keep_everything(tmp_path):
    studies = [
        study(Statement("liver", "normal", None, "The liver is normal."), hidden=("renal_cyst",)),
        study(Statement("kidney_left", "present", "renal_cyst", "Zyste.", "left", 12.5, NEAR), complete=True),
    ]
    write_statements(tmp_path / "s.jsonl", studies)
    assert list(read_statements(tmp_path / "s.jsonl")) == studies


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 of .* is no JSON"),
        ('{"subject": "a", "study": "b", "statments": []}', "statments"),
        ('{"subject": "a", "study": "b", "statements": [{"organ": "liver", "state": "maybe"}]}', "maybe"),
        ('{"subject": "a", "study": "b", "statements": [{"organ": "liver", "state": "present"}]}', "finding"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    (tmp_path / "bad.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        read_statements(tmp_path / "bad.jsonl")


def test_dtype_is_small():
    assert unit_truth(study(), LEFT, FINDINGS).dtype == np.int8
