"""The released size of Neuro-JEPA against numbers of the reference, with weights that a formula fills in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from medfm_core.layers.expert_balance import expert_counts
from medfm_core.layers.tokens import gather_tokens
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.neuro_jepa_names import encoder_state, predictor_names, predictor_shapes, predictor_state
from medfm_core.models.neuro_jepa_names import published_shapes as encoder_shapes
from medfm_core.models.neuro_jepa_predictor import NeuroJepaPredictor, PredictorConfig
from medfm_core.models.sizes import size_config
from training.objectives.neuro_jepa_loss import latent_loss


def wave(values):
    values = values * 43758.5453
    return values - np.floor(values)


def fill(shapes):
    """Source: Neuro-JEPA spec, section 12.4."""
    tensors = {}
    for rank, name in enumerate(sorted(shapes, key=str.encode)):
        shape = shapes[name]
        noise = wave(np.sin(12.9898 * np.arange(math.prod(shape)) + 78.233 * rank)) - 0.5
        if name.endswith("mlp.counts"):
            values = 0 * noise
        elif len(shape) == 1 and name.endswith("weight"):
            values = 1 + 0.2 * noise
        else:
            values = (0.02 if name.endswith("mlp.gate.bias") else 0.1) * noise
        tensors[name] = torch.tensor(values.reshape(shape), dtype=torch.float32)
    return tensors


def published_predictor(config):
    ours = predictor_shapes(config)
    shapes = {}
    for name, parts in predictor_names(config).items():
        shapes |= dict.fromkeys(parts, (1, 1, config.width) if name == "mask_tokens" else ours[name])
    return shapes


def build(kind, config, state):
    with torch.device("meta"):
        model = kind(config)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def near(values, expected):
    torch.testing.assert_close(values, torch.tensor(expected), atol=2e-5, rtol=0)


@pytest.mark.slow
@torch.inference_mode()
def test_the_reference_numbers_come_out_at_full_size():
    config = size_config("neuro_jepa", "released", NeuroJepaConfig)
    encoder = build(NeuroJepaEncoder, config, encoder_state(fill(encoder_shapes(config)), config))
    volume = torch.tensor(wave(np.sin(0.37 * np.arange(96 * 108 * 96))), dtype=torch.float32)
    volume = volume.view(1, 1, 96, 108, 96)
    full = encoder.routed(volume)
    near(full.tokens[0, 0, :4], [-0.942803, 1.480338, 0.460442, 0.511646])
    near(full.tokens[0, 575, :4], [-0.816877, 0.689776, 0.524599, -0.412779])
    near(full.tokens.abs().mean(), 0.796314)
    counts = {block: expert_counts(full.routing[block].chosen, 16).tolist() for block in (1, 11)}
    assert counts[1] == [28, 545, 86, 199, 13, 1, 1, 572, 536, 181, 208, 576, 74, 0, 436, 0]
    assert counts[11] == [262, 38, 0, 495, 141, 304, 302, 96, 0, 0, 436, 2, 457, 367, 0, 556]

    order = 37 * torch.arange(576)[None] % 576
    visible, hidden = order[:, :144], order[:, 144:]
    context = encoder(volume, visible)
    near(context[0, 0, :4], [-0.936414, 1.543654, 0.462198, 0.478536])
    settings = PredictorConfig(positions="published")
    predictor = build(NeuroJepaPredictor, settings, predictor_state(fill(published_predictor(settings)), settings))
    predicted = predictor(context, visible, hidden, torch.zeros(1, dtype=torch.long), (8, 9, 8))
    near(predicted[0, 0, :4], [0.347141, -0.154047, 1.001904, 0.213587])
    target = gather_tokens(functional.layer_norm(full.tokens, (768,)), hidden)
    foreground = hidden % 3 != 0
    near(latent_loss(predicted, target, foreground, 0.1), 0.912129)
    near(latent_loss(predicted, target, foreground, 1.0), 0.911981)
