"""Foreign checkpoints: converted exactly, or refused with a sentence and without running anything of theirs."""

from __future__ import annotations

import hashlib
import json

import bad_checkpoints as bad
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from medfm_core.card_sources import Conversion, KeyRule
from medfm_core.cards import verify_card
from medfm_core.errors import WeightsError
from medfm_core.hub import conversion_worker, targets
from medfm_core.hub.conversion import convert_checkpoint
from medfm_core.hub.pull import pull_card

from .conftest import card_data

RULES = (KeyRule(r"module\.head\..*"), KeyRule(r"module\.encoder\.(.+)", r"\1"))
CONVERSION = Conversion("net.pt", ("state_dict",), RULES)
EXPECTED = {"weight": (3, 4), "bias": (3,)}


def order(source, target, conversion=CONVERSION, expected=EXPECTED):
    from medfm_core.strict import to_dict

    return {
        "source": str(source),
        "target": str(target),
        "conversion": json.loads(json.dumps(to_dict(conversion))),
        "expected": {name: list(shape) for name, shape in expected.items()},
        "source_sha256": "0" * 64,
    }


@pytest.fixture
def honest(tmp_path):
    return bad.saved({"state_dict": bad.state(), "epoch": 3, "config": {"a": [1, 2.5, None, "x"]}}, tmp_path / "net.pt")


def test_in_a_process_of_its_own(tmp_path, honest, monkeypatch):
    """The whole way once; the other tests call the process's function here, where that is quicker."""
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    target = tmp_path / "net.safetensors"
    sha256 = hashlib.sha256(honest.read_bytes()).hexdigest()
    convert_checkpoint(honest, target, CONVERSION, EXPECTED, sha256)
    found, want = load_file(target), bad.state()
    assert torch.equal(found["weight"], want["module.encoder.weight"])
    assert torch.equal(found["bias"], want["module.encoder.bias"])
    assert set(found) == set(EXPECTED)
    with safe_open(target, "pt") as opened:
        assert opened.metadata() == {"made_of_sha256": sha256}
    first = target.read_bytes()
    target.unlink()
    conversion_worker.convert(order(honest, target) | {"source_sha256": sha256})
    assert target.read_bytes() == first
    mark = tmp_path / "mark"
    with pytest.raises(WeightsError, match=r"net\.pt: it wants to run .*system"):
        convert_checkpoint(bad.with_pickle(tmp_path / "bad.pt", mark), target, CONVERSION, EXPECTED, sha256)
    assert not mark.exists()
    assert target.read_bytes() == first
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def test_safetensors_with_other_names(tmp_path):
    source = tmp_path / "theirs.safetensors"
    save_file(bad.state(), source)
    conversion = Conversion("theirs.safetensors", (), RULES)
    conversion_worker.convert(order(source, tmp_path / "ours.safetensors", conversion))
    assert set(load_file(tmp_path / "ours.safetensors")) == set(EXPECTED)


def test_shared_and_transposed_tensors(tmp_path):
    value = torch.arange(12.0).reshape(4, 3)
    source = bad.saved({"a": value.T, "b": value.T, "c": value[1:, :2]}, tmp_path / "net.pt")
    expected = {"a": (3, 4), "b": (3, 4), "c": (3, 2)}
    conversion_worker.convert(order(source, tmp_path / "o.safetensors", Conversion("net.pt"), expected))
    found = load_file(tmp_path / "o.safetensors")
    assert torch.equal(found["a"], value.T)
    assert torch.equal(found["c"], value[1:, :2])


def test_payloads_do_not_run(tmp_path, honest):
    mark, target = tmp_path / "mark", tmp_path / "o.safetensors"
    files = {
        bad.with_pickle(tmp_path / "1.pt", mark): "wants to run .*system",
        bad.bare_pickle(tmp_path / "2.pt", mark): "neither a checkpoint .* nor safetensors",
        bad.saved({"state_dict": bad.state()}, tmp_path / "3.pt", _use_new_zipfile_serialization=False): "neither",
        bad.saved(torch.nn.Linear(2, 2), tmp_path / "4.pt"): "wants to run torch.nn.modules.linear.Linear",
        bad.rezipped(honest, tmp_path / "5.pt", add={"../../evil.py": b"x"}): "outside its folder",
        bad.rezipped(honest, tmp_path / "6.pt", add={"/etc/cron.d/evil": b"x"}): "outside its folder",
        bad.rezipped(honest, tmp_path / "7.pt", link="net/data/9"): "link or a device",
        bad.rezipped(honest, tmp_path / "8.pt", add={"net/DATA.pkl": b"x"}): "is there twice",
        bad.bomb(tmp_path / "9.pt"): "more than 100 times",
        bad.plain_zip(tmp_path / "10.pt", {"a.txt": b"x"}): "no checkpoint",
        bad.cut(honest, tmp_path / "11.pt", 700): "damaged or not a zip file",
        bad.saved({"state_dict": [1, 2]}, tmp_path / "12.pt"): "in a list",
        bad.saved({"state_dict": {"a": 3}}, tmp_path / "13.pt"): "is a int and no tensor",
        bad.saved({"state_dict": {3: torch.ones(1)}}, tmp_path / "14.pt"): "no tensor",
        bad.saved({"model": {}}, tmp_path / "15.pt"): "no entry 'state_dict'",
        bad.saved({"state_dict": {"a": torch.ones(2).to_sparse()}}, tmp_path / "16.pt"): "sparse",
    }
    for source, says in files.items():
        with pytest.raises(WeightsError, match=says) as caught:
            conversion_worker.convert(order(source, target))
        assert str(caught.value).count("\n") == 0
    assert not mark.exists()
    assert not target.exists()


@pytest.mark.parametrize(
    ("expected", "rules", "says"),
    [
        ({**EXPECTED, "more": (1,)}, RULES, "lacks 1 tensors of the network: 'more'"),
        ({"weight": (3, 4)}, RULES, "holds 1 tensors that the network has not: 'module.encoder.bias'"),
        ({"weight": (4, 3), "bias": (3,)}, RULES, r"'weight' is \[3, 4\] instead of \[4, 3\]"),
        (EXPECTED, (), "lacks 2 tensors"),
        (EXPECTED, (KeyRule("module.*", "weight"),), "would be 'weight'"),
    ],
)
def test_strict(tmp_path, honest, expected, rules, says):
    conversion = Conversion("net.pt", ("state_dict",), rules)
    with pytest.raises(WeightsError, match=says):
        conversion_worker.convert(order(honest, tmp_path / "o.safetensors", conversion, expected))


@pytest.mark.parametrize(("match", "to"), [("(", "a"), ("", "a"), ("a" * 301, "a"), ("a", r"\1")])
def test_rules_are_checked(match, to):
    with pytest.raises(ValueError, match=r"match|group"):
        KeyRule(match, to)


def test_an_old_torch_is_not_trusted(tmp_path, honest, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.8.1+cpu")
    with pytest.raises(conversion_worker.ResourceError, match=r"torch>=2\.10"):
        conversion_worker.convert(order(honest, tmp_path / "o.safetensors"))


def shapes_of(card, file):
    """Registered as a target below."""
    return EXPECTED


def test_pulled_and_converted_once(made_up, write_card, honest, monkeypatch):
    content = honest.read_bytes()
    made_up.hub.repositories["lab/made-up"].files["net.pt"] = content
    data = card_data({"net.safetensors": (content, "weights")})
    rules = [{"match": rule.match, "to": rule.to} for rule in RULES]
    data["weights"][0]["converted"] = {"file": "net.pt", "entry": ["state_dict"], "rules": rules}
    card = write_card(data)
    with pytest.raises(WeightsError, match="'made_up' cannot be converted"):
        pull_card(card)
    monkeypatch.setitem(targets.TARGETS, "made_up", f"{__name__}:shapes_of")
    root = pull_card(card)
    assert set(load_file(root / "net.safetensors")) == set(EXPECTED)
    assert verify_card(card)
    assert made_up.hub.counts["net.pt"] == 1  # the refused try left the file to go on with
    asked = len(made_up.hub.seen)
    assert pull_card(card) == root
    assert len(made_up.hub.seen) == asked
    assert not list((made_up.cache / "parts").iterdir())
    data["weights"][0]["converted"]["rules"][1]["to"] = "other.\\1"
    with pytest.raises(WeightsError, match="not recorded as this card says"):
        verify_card(write_card(data))
