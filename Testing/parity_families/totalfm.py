"""TotalFM: tokens and embeddings of the image encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfm_core.models.totalfm import TotalFMConfig
from medfm_core.models.totalfm_weights import load_image_encoder
from parity_families import Comparison


def read_config(config: Mapping[str, Any]) -> TotalFMConfig:
    """Our configuration of a fixture's, which names its sides in the order H and W, D."""
    (height, width), (rows, columns) = (
        side if isinstance(side, (list, tuple)) else (side, side) for side in (config["image_size"], config["patch"])
    )
    return TotalFMConfig(
        image_size=(config["frames"], height, width),
        patch_size=(config["frame_patch"], rows, columns),
        channels=config["channels"],
        width=config["dim"],
        depth=config["depth"],
        heads=config["heads"],
        mlp_width=config["mlp_dim"],
        head_width=config["vit_out_dim"],
        embedding_width=config["embed_dim"],
    )


@torch.inference_mode()
def compare(config: Mapping[str, Any], weights: Path, io: Mapping[str, Tensor]) -> list[Comparison]:
    """Compare what is recorded of each input: `tokens`, `embedding` of `x`, and with a suffix of `x<suffix>`."""
    encoder = load_image_encoder(weights, read_config(config))
    ours = {}
    for name, recorded in io.items():
        if name.startswith("x"):
            tokens = encoder.backbone(recorded.permute(0, 1, 4, 2, 3))  # recorded as (B, C, H, W, D)
            suffix = name[1:]
            ours |= {f"tokens{suffix}": tokens, f"embedding{suffix}": encoder.pooled(tokens)}
    return [Comparison(name, ours.get(name), tensor) for name, tensor in io.items() if not name.startswith("x")]
