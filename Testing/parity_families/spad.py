"""SPAD-Nets: tokenizer and transformer at every degree of anisotropy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.models.spad_weights import load_spad_tokenizer, load_spad_vit
from medfm_core.weights import load_weights
from parity_families import FEATURE_TOLERANCE, LOSS_TOLERANCE, Comparison
from training.objectives.soft_token_losses import entropy_loss, prior_loss

_LOSSES = ("prior_loss", "entropy")


def read_configs(config: Mapping[str, Any]) -> tuple[SpadTokenizerConfig, SpadVitConfig]:
    """Our configurations of a fixture's."""
    tokenizer, vit = config["tokenizer"], config["vit"]
    return (
        SpadTokenizerConfig(
            channels=tokenizer["in_channels"],
            widths=tuple(tokenizer["channels"]),
            first_stride=tokenizer["start_stride"],
            tokens=tokenizer["num_tokens"],
            up_reduction="sum",
        ),
        SpadVitConfig(
            channels=tokenizer["in_channels"],
            patch=vit["patch"],
            width=vit["embed_dim"],
            depth=vit["depth"],
            heads=vit["num_heads"],
            mlp_width=int(vit["mlp_ratio"] * vit["embed_dim"]),
            position_grid=tuple(vit["pos_embed_shape"]),
        ),
    )


def load(config: Mapping[str, Any], weights: Path) -> tuple[SpadTokenizer, SpadVit]:
    """Both networks of a fixture, whose file holds them under the published names behind `tokenizer.` and `vit.`."""
    tokenizer, vit = read_configs(config)
    state = load_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for part in ("tokenizer.", "vit."):
            paths.append(Path(folder) / f"{part}safetensors")
            save_file({n.removeprefix(part): value for n, value in state.items() if n.startswith(part)}, paths[-1])
        return load_spad_tokenizer(paths[0], tokenizer), load_spad_vit(paths[1], vit)


@torch.inference_mode()
def compare(config: Mapping[str, Any], weights: Path, io: Mapping[str, Tensor]) -> list[Comparison]:
    """Compare what is recorded of `dN.x`, an input of degree N: latent, tokens, reconstruction, features."""
    tokenizer, vit = load(config, weights)
    ours: dict[str, Tensor] = {}
    for name, volume in io.items():
        if name.endswith(".x"):
            case = name.removesuffix("x")
            degree = int(case[1:-1])
            drawn = tokenizer(volume, degree)
            ours |= {
                f"{case}latent": tokenizer.encode(volume, degree),
                f"{case}logits": drawn.tokens.logits,
                f"{case}reconstruction": drawn.volume,
                f"{case}prior_loss": prior_loss(drawn.tokens.probabilities)[None],
                f"{case}entropy": entropy_loss(drawn.tokens.logits)[None],
                f"{case}features": vit(volume, degree),
            }
    return [
        Comparison(name, ours.get(name), recorded, LOSS_TOLERANCE if name.endswith(_LOSSES) else FEATURE_TOLERANCE)
        for name, recorded in io.items()
        if not name.endswith(".x")
    ]
