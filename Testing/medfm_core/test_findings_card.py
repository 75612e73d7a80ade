"""Findings in a model card: what is accepted, and what is refused in one sentence."""

from __future__ import annotations

import copy
import json

import fake_findings
import pytest

from medfm_core.card_library import load_card
from medfm_core.card_parts import Calibration
from medfm_core.errors import WeightsError
from medfm_core.strict import to_dict

FILES = [
    {"file": f"{role}.safetensors", "sha256": "0" * 64, "bytes": 1, "role": role}
    for role in ("weights", "text", "prompts")
]


@pytest.fixture
def data():
    return {**copy.deepcopy(fake_findings.card_data()), "weights": copy.deepcopy(FILES)}


def load(folder, data):
    path = folder / f"{data['id']}.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return load_card(path)


def test_a_findings_card_comes_back(tmp_path, data):
    card = load(tmp_path, data)
    assert card.findings["hepatic_steatosis"] == Calibration(0.4, 0.6, "nothing", 0.5, 1, 1)
    assert card.file_of("text").file == "text.safetensors"
    assert load(tmp_path, to_dict(card)) == card
    with pytest.raises(WeightsError, match="no file of role 'tokenizer'"):
        card.file_of("tokenizer")


def test_weights_without_any_calibration_are_a_card_too(tmp_path, data):
    assert load(tmp_path, {**data, "findings": {}}).findings == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"absent_below": 0.7}, "must rise within"),
        ({"present_above": 1.1}, "must rise within"),
        ({"absent_below": -0.1}, "must rise within"),
        ({"on": ""}, "on must say"),
        ({"auroc": 1.2}, "auroc 1.2 must lie"),
        ({"positives": -1}, "must not be negative"),
        ({"thresold": 0.5}, "is not known"),
    ],
)
def test_a_calibration_that_makes_no_sense(tmp_path, data, change, says):
    data["findings"]["hepatic_steatosis"].update(change)
    with pytest.raises(WeightsError, match=says):
        load(tmp_path, data)


@pytest.mark.parametrize("role", ["weights", "text", "prompts"])
def test_each_file_is_needed_once(tmp_path, data, role):
    fewer = [file for file in data["weights"] if file["role"] != role]
    with pytest.raises(WeightsError, match=f"file of role '{role}'"):
        load(tmp_path, {**data, "weights": fewer})
    twice = [*data["weights"], {**FILES[0], "file": "more.safetensors", "role": role}]
    with pytest.raises(WeightsError, match=f"one file of role '{role}'"):
        load(tmp_path, {**data, "weights": twice})


def test_what_a_findings_card_must_say_of_its_input(tmp_path, data):
    with pytest.raises(WeightsError, match=r"input\.organs must say"):
        load(tmp_path, {**data, "input": {k: v for k, v in data["input"].items() if k not in ("organs", "size")}})
    with pytest.raises(WeightsError, match="size must say"):
        load(tmp_path, {**data, "input": {k: v for k, v in data["input"].items() if k != "size"}})
    organs = {**data["input"]["organs"], "units": {"liver": ["livr"]}, "section_mm": {}}
    with pytest.raises(WeightsError, match=r"units\.liver: .*nearest: liver"):
        load(tmp_path, {**data, "input": {**data["input"], "organs": organs}})


def test_an_unknown_finding_names_the_nearest(tmp_path, data):
    data["findings"]["hepatic_steatosi"] = data["findings"].pop("hepatic_steatosis")
    with pytest.raises(WeightsError, match=r"findings: .*nearest: hepatic_steatosis"):
        load(tmp_path, data)


def test_only_findings_cards_have_findings(tmp_path, data):
    with pytest.raises(WeightsError, match="findings belong to a card of the task 'findings'"):
        load(tmp_path, {**data, "task": "embedding"})
