"""The whole body in words: shares, what is cut and missing, and a result without them."""

from __future__ import annotations

import json

from MedFMLib.results import read_result
from MedFMLib.whole_body import body_text
from panel_stand_ins import write_result

BLOCK = {
    "model": {"id": "body.v1"},
    "organs": {
        "liver": {"title": "Liver", "state": "present", "share": 0.304},
        "kidney": {"title": "Kidneys", "state": "cut", "share": 0.696, "reason": "Part of it is outside the scan."},
        "brain": {"title": "Brain", "state": "missing", "reason": "It is not in the scan."},
    },
    "not_known": ["adipose"],
    "meaning": "What a share means.",
}


def told(folder, block):
    path = write_result(folder) / "analysis.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest if block is None else {**manifest, "whole_body": block}))
    return body_text(read_result(folder))


def test_the_largest_share_comes_first_and_what_is_missing_last(tmp_path):
    lines = told(tmp_path / "case", BLOCK).splitlines()
    assert lines[0] == "Whole body by body.v1, shares of its attention:"
    assert [line[2:] for line in lines[1:3]] == ["Kidneys: 70 %, cut by the field of view", "Liver: 30 %"]
    assert lines[3] == "Missing: Brain, Adipose."
    assert "not how ill" in lines[4]


def test_nothing_seen_no_model_and_damage(tmp_path):
    only = {**BLOCK, "organs": {"brain": BLOCK["organs"]["brain"]}, "meaning": "The scan shows none of the organs."}
    assert told(tmp_path / "none", only) == "The scan shows none of the organs.\nMissing: Brain, Adipose."
    assert told(tmp_path / "without", None) == ""
    assert body_text(None) == ""
    assert (
        told(tmp_path / "broken", {"organs": {"liver": {}}}) == "What the result says of the whole body cannot be read."
    )
