"""What the vector of a Neuro-JEPA depends on, on a toy with experts that has learnt to tell blobs from noise."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from blob_volumes import blobs
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.progress import CancelledError, Silent
from medfm_core.saliency import CurveSettings, deletion_insertion, energy_inside, prompt_contrast, randomisation_check
from medfm_core.saliency.brain import ScanVector, vector_saliency
from medfm_core.saliency.integrated_gradients import IntegratedGradients
from medfm_core.saliency.methods import on_voxels

CONFIG = NeuroJepaConfig(
    image_size=(8, 16, 16), patch_size=(2, 4, 4), width=24, depth=2, heads=2, mlp_width=32, expert_blocks=(1,),
    mixture=MixtureConfig(experts=4, active=2, expert_width=16, shared_width=16),
)  # fmt: skip


@pytest.fixture(scope="module")
def toy():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        generator = torch.Generator().manual_seed(4)
        model = ScanVector(NeuroJepaEncoder(CONFIG))
        prompts = functional.normalize(torch.randn(6, CONFIG.width, generator=generator), dim=-1)
        target = prompt_contrast(prompts[:3], prompts[3:])
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(200):
            volumes, there, _ = blobs(16, generator)
            loss = functional.binary_cross_entropy_with_logits(8 * target(model(volumes)), there)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    volumes, there, masks = blobs(24, generator)
    scores = target(model(volumes)).detach()
    assert (scores[there == 1][:, None] > scores[there == 0]).float().mean() > 0.95, "the toy has not learnt its task"
    return SimpleNamespace(model=model.eval(), volumes=volumes[there == 1], masks=masks[there == 1])


def own_target(toy, volume):
    vector = toy.model(volume).detach()[0]
    return lambda some: some @ vector


def test_deletion_beats_random_orders_and_the_blob_is_found(toy):
    gains, times = [], []
    for one, mask in zip(toy.volumes[:8], toy.masks, strict=False):
        heat = on_voxels(vector_saliency(toy.model.encoder, one[None]), CONFIG.image_size)
        found = deletion_insertion(toy.model, one[None], own_target(toy, one[None]), heat, CurveSettings(8, 3))
        assert found.at_stake > 0.1
        gains.append((found.deletion_gain / found.at_stake, found.insertion_gain / found.at_stake))
        times.append(energy_inside(heat, mask).times_chance)
    deletion, insertion = torch.tensor(gains).mean(dim=0).tolist()
    assert deletion > 0.3
    assert insertion > 0.1
    assert sum(gain > 0 for gain, _ in gains) >= 7
    assert sum(times) / len(times) > 4


def test_maps_change_when_the_weights_are_randomised(toy):
    kept = []
    for seed, one in enumerate(toy.volumes[:3]):
        stages = randomisation_check(toy.model, one[None], own_target(toy, one[None]), IntegratedGradients(), seed)
        assert any("blocks" in stage.part for stage in stages)
        kept.append(stages[-1].rank_correlation)
    assert sum(kept) / len(kept) < 0.5


def test_the_map_is_of_the_patches_and_leaves_the_encoder_as_it_was(toy):
    encoder, volume = copy.deepcopy(toy.model.encoder).train(), toy.volumes[:1].clone()
    encoder.set_activation_checkpointing(True)
    before = copy.deepcopy(encoder.state_dict())
    heat = vector_saliency(encoder, volume)
    with torch.inference_mode():
        assert torch.equal(heat, vector_saliency(encoder, volume))
    assert heat.shape == (4, 4, 4)
    assert heat.min() >= 0
    assert heat.max() == 1
    assert encoder.training
    assert encoder.blocks.checkpointing
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(value.grad is None for value in encoder.parameters())


def test_an_even_scan_has_nothing_to_show(toy):
    assert not vector_saliency(toy.model.encoder, torch.full((1, 1, 8, 16, 16), 0.5)).any()


def test_refuses_what_it_cannot_explain(toy):
    with pytest.raises(InputError, match="not one volume"):
        vector_saliency(toy.model.encoder, toy.volumes[:2])
    with pytest.raises(InputError, match="divide"):
        vector_saliency(toy.model.encoder, toy.volumes[:1, ..., :-1])
    with pytest.raises(CancelledError):
        vector_saliency(toy.model.encoder, toy.volumes[:1], Silent(lambda: True))
