"""Tiny SPAD networks with random weights as installed model cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.strict import to_dict

VIT = SpadVitConfig(channels=1, patch=4, width=16, depth=2, heads=2, mlp_width=16, position_grid=(2, 3, 3))
TOKENIZER = SpadTokenizerConfig(channels=1, widths=(8, 16), first_stride=2, tokens=16)
INPUT: dict[str, Any] = {
    "modality": ["CT", "MR", "DX", "US", "OT"], "orientation": None, "spacing_mm": [1.0, 1.5, 1.5],
    "spacing_rule": "at_least", "intensity": {"kind": "percentiles", "percentiles": [0.5, 99.5], "to": [0, 1]},
    "by_modality": {"CT": {"kind": "clip_scale", "hu": [-1000, 1000], "to": [0, 1]}},
}  # fmt: skip


def write_card(folder: Path, name: str, task: str, net: Any, config: Any, tile: tuple[int, int, int]) -> Path:
    """Write weights and card into a Resources folder; returns the card's path."""
    design = "spad_vit" if task == "embedding" else "spad_tokenizer"
    weights = folder / "weights" / f"{name}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in net.state_dict().items()}, weights)
    data = weights.read_bytes()
    card = {
        "id": name, "task": task, "architecture": {"name": design, **to_dict(config, defaults=True)},
        "weights": [{"file": weights.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "source": {"kind": "file", "path": "../weights"}, "input": INPUT, "inference": {"tile": list(tile)},
        "licence": "Apache-2.0", "trained_on": ["nothing"], "intended_use": "tests",
    }  # fmt: skip
    path = folder / "cards" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card))
    return path


def encoder_card(folder: Path) -> Path:
    """A transformer of random weights; tiles of 4 x 6 x 6 tokens."""
    torch.manual_seed(0)
    return write_card(folder, "toy-vit.v1", "embedding", SpadVit(VIT), VIT, (16, 24, 24))


def tokenizer_card(folder: Path) -> Path:
    """A tokenizer of random weights; tiles of 4 x 6 x 6 tokens."""
    torch.manual_seed(0)
    return write_card(folder, "toy-tokenizer.v1", "reconstruction", SpadTokenizer(TOKENIZER), TOKENIZER, (16, 24, 24))
