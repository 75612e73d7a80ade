"""Resources with a tiny segmenter of random weights, for tests that run MedFM in processes of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import fake_organs
import torch
from safetensors.torch import save_file

from medfm_core.models.segmenter import OrganSegmenter, SegmenterConfig
from medfm_core.settings import read_settings

CARD_ID = "tiny-segmenter.v1"
ORGANS = ("liver", "spleen", "aorta")


def install(folder: Path) -> Path:
    """Make a Resources folder; run processes with MEDFM_RESOURCES set to it."""
    shutil.copytree(read_settings().resources / "vocabulary", folder / "vocabulary")
    (folder / "cards").mkdir(parents=True)
    options = {"out_channels": len(ORGANS) + 1, "in_channels": 1, "channels": (8, 16), "blocks": (1, 1)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = OrganSegmenter(SegmenterConfig(**options)).state_dict()
    weights = folder / "cards" / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, weights)
    data = weights.read_bytes()
    card = fake_organs.card_data() | {
        "id": CARD_ID,
        "architecture": {"name": "half_resolution_unet", **options},
        "weights": [{"file": weights.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "labels": {str(channel): name for channel, name in enumerate(ORGANS, start=1)},
        "measured": [],
        "inference": {"tile": [32, 48, 48]},
    }
    card["input"]["spacing_mm"] = [8, 8, 8]
    (folder / "cards" / f"{CARD_ID}.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
