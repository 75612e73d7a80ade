"""Publishing: one commit of verified files to a server that speaks the hub's API, and a card that fetches them back."""

from __future__ import annotations

import base64
import hashlib
import json

import numpy as np
import pytest
from hub_server import COMMIT, Hub, Repository
from safetensors.numpy import save

from medfm_core.card_library import load_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.problems import HubError
from medfm_core.hub.pull import pull_card
from training.publish import main, publish

WEIGHTS = save({"a": np.arange(100, dtype=np.float32)})


@pytest.fixture
def card_path(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.v1.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "cards").mkdir()
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    data = {
        "id": "mine.v1",
        "task": "embedding",
        "title": "Mine",
        "architecture": {"name": "made_up"},
        "weights": [{"file": "mine.v1.safetensors", "sha256": digest, "bytes": len(WEIGHTS)}],
        "source": {"kind": "file", "path": "../weights"},
        "input": {"modality": ["CT"], "intensity": {"kind": "none"}, "spacing_mm": [1, 1, 1]},
        "licence": "CC-BY-4.0",
        "trained_on": ["virtual patients"],
        "intended_use": "research only; not a medical device",
        "limits": ["everything"],
        "measured": [{"on": "nothing", "metric": "auroc", "values": {"mean": 0.5}}],
    }
    path = tmp_path / "cards" / "mine.v1.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "MEDFM_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the server takes files as git-lfs sends them
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    with Hub().running() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_there_and_back(card_path, hub):
    published = publish(load_card(card_path), "me/mine")
    assert (published.repo, published.revision) == ("me/mine", COMMIT)
    ((repo, lines),) = hub.commits
    assert repo == "me/mine"
    small = {line["value"]["path"]: line["value"] for line in lines if line["key"] == "file"}
    large = {line["value"]["path"]: line["value"]["oid"] for line in lines if line["key"] == "lfsFile"}
    page = base64.b64decode(small["README.md"]["content"]).decode()
    for text in ("license: cc-by-4.0", "# Mine", "not a medical device", "virtual patients", "everything", "auroc"):
        assert text in page
    assert hub.uploaded[large["mine.v1.safetensors"]] == WEIGHTS
    hub.repositories["me/mine"] = Repository({"mine.v1.safetensors": hub.uploaded[large["mine.v1.safetensors"]]})
    assert (pull_card(load_card(published.card)) / "mine.v1.safetensors").read_bytes() == WEIGHTS


def test_refused(card_path, hub, monkeypatch, capsys):
    card = load_card(card_path)
    with pytest.raises(InputError, match="owner/name"):
        publish(card, "mine")
    with pytest.raises(InputError, match="a data set's repository"):
        publish(card, "datasets/me/mine")
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    with pytest.raises(HubError, match="does not accept the token"):
        publish(card, "me/mine")
    data = json.loads(card_path.read_text())
    card_path.write_text(json.dumps(data | {"trained_on": ["not stated"]}))
    assert main(["--card", str(card_path), "--repo", "me/mine"]) == 2
    assert "does not state its trained_on" in capsys.readouterr().err
    (card_path.parents[1] / "weights" / "mine.v1.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="bytes"):
        publish(card, "me/mine")
    assert not hub.commits
