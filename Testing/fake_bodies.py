"""A tiny whole-body model with random weights over the organs of `fake_findings`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fake_findings
import torch
from safetensors.torch import save_file

from medfm_core.models.pan_fm import PanFM, PanFMConfig
from medfm_core.strict import from_dict

CARD_ID = "fake-body.v1"
UNITS = {"heart": ["heart"], "liver": ["liver"], "kidney": ["kidney_right", "kidney_left"], "pancreas": ["pancreas"]}
ORGANS = [
    {"name": "brain", "kind": "vectors", "count": 1, "values": 5},
    *({"name": name, "kind": "vectors", "count": len(units), "values": fake_findings.WIDTH}
      for name, units in UNITS.items()),
    {"name": "spleen", "kind": "table", "fields": ["volume_ml"]},
]  # fmt: skip
WIDTH = 12


def card_data(encoder_sha256: str, card_id: str = CARD_ID) -> dict[str, Any]:
    """The card as JSON data, without its weights."""
    own = {"card": fake_findings.CARD_ID, "weights_sha256": encoder_sha256, "width": fake_findings.WIDTH}
    other = {"card": "brains.v1", "weights_sha256": "0" * 64, "width": 5, "units": ["whole_scan"]}
    return {
        "id": card_id,
        "task": "whole_body_embedding",
        "architecture": {"name": "pan_fm", "organs": ORGANS, "width": WIDTH, "depth": 1, "heads": 2, "mlp_width": 12},
        "weights": [],
        "source": {"kind": "file", "path": "."},
        "input": {
            "modality": ["CT"], "orientation": None, "spacing_rule": "native", "intensity": {"kind": "none"},
            "body": {"brain": other, **{name: {**own, "units": units} for name, units in UNITS.items()},
                     "spleen": {"mean": [200.0], "deviation": [60.0]}},
        },
        "licence": "Apache-2.0",
        "trained_on": ["nothing"],
        "intended_use": "tests only",
    }  # fmt: skip


def make(folder: Path, findings_card: Path, card_id: str = CARD_ID) -> Path:
    """Write a whole-body card and its weights into a folder, for the encoder of a findings card.

    Returns:
        The card's path.
    """
    weights = json.loads(findings_card.read_text(encoding="utf-8"))["weights"]
    data = card_data(weights[0]["sha256"], card_id)
    options = {key: value for key, value in data["architecture"].items() if key != "name"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PanFM(from_dict(PanFMConfig, options, "the test"))
    path = folder / f"{card_id}.safetensors"
    save_file(net.state_dict(), path)
    content = path.read_bytes()
    data["weights"] = [{"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}]
    card = folder / f"{card_id}.json"
    card.write_text(json.dumps(data), encoding="utf-8")
    return card
