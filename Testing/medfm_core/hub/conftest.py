"""A hub on this machine, a card whose files it serves, and a cache of its own for each test."""

from __future__ import annotations

import hashlib
import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hub_server import COMMIT, Hub, Repository
from safetensors.numpy import save

from medfm_core.card_library import load_card

WEIGHTS = save({"a": np.arange(50_000, dtype=np.float32), "b": np.ones((3, 4), np.float16)})
CONFIG = b'{"kind": "made up"}\n'
ACCESS = "ask the owner on the page of the repository"


def card_data(files, **changes):
    """A card of the made-up repository; `files` are names to (content, role)."""
    data = {
        "id": "made-up.v1",
        "task": "embedding",
        "architecture": {"name": "made_up"},
        "weights": [
            {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "role": role}
            for name, (content, role) in files.items()
        ],
        "source": {"kind": "hub", "repo": "lab/made-up", "revision": COMMIT},
        "input": {"modality": ["CT"], "intensity": {"kind": "none"}, "spacing_mm": [1, 1, 1]},
        "licence": "MIT",
        "trained_on": ["nothing"],
        "intended_use": "research only; not a medical device",
    }
    return data | changes


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """Resources with a folder of cards."""
    folder = tmp_path / "resources"
    (folder / "cards").mkdir(parents=True)
    monkeypatch.setenv("MEDFM_RESOURCES", str(folder))
    return folder


@pytest.fixture
def write_card(resources):
    """Write a card and load it."""

    def write(data):
        path = resources / "cards" / f"{data['id']}.json"
        path.write_text(json.dumps(data))
        return load_card(path)

    return write


@pytest.fixture
def made_up(tmp_path, monkeypatch, write_card):
    """The hub, the card, the cache; nothing else of the environment counts."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "MEDFM_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    cache = tmp_path / "cache"
    monkeypatch.setenv("MEDFM_CACHE", str(cache))
    hub = Hub()
    hub.repositories = {
        "lab/made-up": Repository({"net/w.safetensors": WEIGHTS, "config.json": CONFIG}, small={"config.json"})
    }
    card = write_card(card_data({"net/w.safetensors": (WEIGHTS, "weights"), "config.json": (CONFIG, "config")}))
    _sleep_less(monkeypatch)
    _http.close_session()
    with hub.running():
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield SimpleNamespace(hub=hub, card=card, cache=cache, root=cache / "hub" / "lab--made-up" / COMMIT)
    _http.close_session()


def _sleep_less(monkeypatch):
    """The client's waits between tries, a hundred times as short."""
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: real(seconds / 100))
