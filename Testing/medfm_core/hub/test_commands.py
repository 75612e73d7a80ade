"""`medfm models` with models of the hub: what it says, its exit codes, and the licence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from medfm_core.cli import main
from medfm_core.errors import InputError
from medfm_core.hub.licences import accept, check_accepted, is_accepted, needs_acceptance

from .conftest import WEIGHTS, card_data

TERMS = "For research only; not for commercial use."


@pytest.fixture
def closed(made_up, write_card):
    files = {"net/w.safetensors": (WEIGHTS, "weights")}
    return write_card(card_data(files, id="closed.v1", licence="CC-BY-NC-SA-4.0", terms=TERMS))


def run(capsys, *arguments):
    code = main(["models", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_from_list_to_remove(capsys, made_up):
    code, out, _ = run(capsys, "list")
    assert (code, "hub" in out, str(made_up.cache) in out) == (0, True, True)
    code, out, _ = run(capsys, "verify")
    assert (code, "not fetched" in out) == (0, True)
    code, _, err = run(capsys, "verify", "made-up.v1")
    assert (code, "medfm models pull made-up.v1" in err) == (3, True)
    code, out, err = run(capsys, "pull", "made-up.v1")
    assert (code, "made-up.v1: fetched" in out, "Licence: MIT" in err) == (0, True, True)
    assert "Fetch net/w.safetensors: done" in err
    code, out, _ = run(capsys, "list", "--json")
    assert json.loads(out)["place"] == "fetched"
    code, out, _ = run(capsys, "show", "made-up.v1")
    assert (code, "lab/made-up" in out) == (0, True)
    code, out, _ = run(capsys, "verify")
    assert (code, out.strip()) == (0, "made-up.v1: whole")
    code, out, _ = run(capsys, "remove", "made-up.v1")
    assert (code, "0.2 MB became free" in out) == (0, True)
    assert not made_up.root.exists()


def test_json(capsys, made_up):
    code, out, _ = run(capsys, "pull", "made-up.v1", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {event["event"] for event in events} == {"stage", "model"}
    assert events[-1]["state"] == "fetched"


def test_licence(capsys, made_up, closed):
    assert needs_acceptance(closed)
    code, _, err = run(capsys, "pull", "closed.v1")
    assert (code, TERMS in err, "--accept-licence" in err) == (2, True, True)
    assert not made_up.hub.seen
    code, out, _ = run(capsys, "licence", "closed.v1")
    assert (code, TERMS in out, "State: not accepted" in out) == (0, True, True)
    code, _, _ = run(capsys, "pull", "closed.v1", "--accept-licence")
    assert code == 0
    code, out, _ = run(capsys, "licence", "closed.v1", "--json")
    assert json.loads(out)["state"] == "accepted"
    code, _, _ = run(capsys, "pull", "closed.v1", "--quiet")  # once is enough
    assert code == 0
    code, out, _ = run(capsys, "licence", "made-up.v1")
    assert "nothing to accept" in out


def test_other_terms_ask_again(closed, tmp_path):
    accept(closed, tmp_path)
    assert is_accepted(closed, tmp_path)
    with pytest.raises(InputError, match="was not accepted"):
        check_accepted(replace(closed, terms="Other terms."), tmp_path)
    (tmp_path / "licences.json").write_text("{")
    assert not is_accepted(closed, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pull"], "ID of the model to pull is missing"),
        (["import", "made-up.v1"], "PATH to import from is missing"),
        (["pull", "made-up.v1", "there"], "cannot use 'there'"),
        (["pul", "made-up.v1"], "did you mean pull?"),
        (["remove", "made-up"], "made-up.v1"),
    ],
)
def test_wrong_commands(capsys, made_up, arguments, says):
    code, _, err = run(capsys, *arguments)
    assert (code, says in err) == (2, True), err


def test_import(capsys, made_up, tmp_path):
    for name, content in made_up.hub.repositories["lab/made-up"].files.items():
        (tmp_path / name.split("/")[-1]).write_bytes(content)
    code, out, _ = run(capsys, "import", "made-up.v1", tmp_path)
    assert (code, "imported" in out) == (0, True)
