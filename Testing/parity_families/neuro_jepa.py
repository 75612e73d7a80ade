"""Neuro-JEPA: encoder, router scores, predictor and the loss between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.neuro_jepa_names import encoder_state, predictor_state
from medfm_core.models.neuro_jepa_predictor import NeuroJepaPredictor, PredictorConfig
from medfm_core.models.neuro_jepa_weights import read_architecture
from medfm_core.weights import load_weights
from parity_families import LOSS_TOLERANCE, Comparison
from training.objectives.neuro_jepa_loss import latent_loss

_INPUTS = ("x", "mask_enc", "mask_pred", "foreground")


def load_models(config: Mapping[str, Any], weights: Path) -> tuple[NeuroJepaEncoder, NeuroJepaPredictor]:
    """Both models of a fixture, whose file holds them behind `encoder.` and `predictor.`."""
    tensors = load_weights(weights)
    sides: dict[str, dict[str, Tensor]] = {"encoder": {}, "predictor": {}}
    for name, value in tensors.items():
        side, rest = name.split(".", 1)
        sides[side][rest] = value
    shapes = {name: tuple(value.shape) for name, value in sides["encoder"].items()}
    architecture = read_architecture(shapes, config)
    encoder = NeuroJepaEncoder(architecture)
    encoder.load_state_dict(encoder_state(sides["encoder"], architecture))
    predictor = NeuroJepaPredictor(read_predictor(config, architecture))
    predictor.load_state_dict(predictor_state(sides["predictor"], predictor.config))
    return encoder.eval(), predictor.eval()


def read_predictor(config: Mapping[str, Any], encoder: NeuroJepaConfig) -> PredictorConfig:
    """The predictor's part of a fixture's configuration."""
    part = config["predictor"]
    return PredictorConfig(
        encoder.width, part["embed_dim"], part["depth"], part["num_heads"], part["num_mask_tokens"], "published"
    )


@torch.inference_mode()
def compare(config: Mapping[str, Any], weights: Path, io: Mapping[str, Tensor]) -> list[Comparison]:
    """Compare features, router scores, and for each recorded pair of masks context, prediction and loss."""
    encoder, predictor = load_models(config, weights)
    grid = encoder.config.token_grid(io["x"].shape[2:])
    full = encoder.routed(io["x"])
    ours = {"features": full.tokens}
    ours |= {f"router_scores.{n}": routing.scores for n, routing in enumerate(full.routing) if routing is not None}
    targets = functional.layer_norm(full.tokens, full.tokens.shape[-1:])
    losses = []
    for name in io:
        if not name.startswith("mask_enc."):
            continue
        kind = name.removeprefix("mask_enc.")
        visible, hidden = io[name], io[f"mask_pred.{kind}"]
        ours[f"context.{kind}"] = context = encoder(io["x"], visible)
        kinds = torch.full((len(visible),), int(kind))
        ours[f"predicted.{kind}"] = predicted = predictor(context, visible, hidden, kinds, grid)
        foreground = io["foreground"].gather(1, hidden)
        losses.append(latent_loss(predicted, gather_tokens(targets, hidden), foreground, 0.1))
    ours["loss"] = torch.stack(losses).mean()
    return [
        Comparison(name, ours.get(name), tensor, *([LOSS_TOLERANCE] if name == "loss" else []))
        for name, tensor in io.items()
        if not name.startswith(_INPUTS)
    ]
