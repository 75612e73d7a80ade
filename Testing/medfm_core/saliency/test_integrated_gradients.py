"""Integrated gradients on a SPAD transformer, whose vector is the mean of its tokens, that knows blobs from noise."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from blob_volumes import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.progress import CancelledError, Silent
from medfm_core.saliency import (
    CurveSettings,
    IntegratedGradients,
    deletion_insertion,
    energy_inside,
    explain,
    prompt_contrast,
    randomisation_check,
)
from medfm_core.saliency.integrated_gradients import blurred_by_patches, integrated, per_patch

DEGREE, PATCH = 1, (2, 4, 4)
CONFIG = SpadVitConfig(channels=1, patch=4, width=24, depth=2, heads=2, mlp_width=32, position_grid=(4, 4, 4))
METHOD = IntegratedGradients()


class MeanToken(nn.Module):
    """A SPAD transformer as what `explain` takes: volumes to the mean of their tokens, of length 1."""

    def __init__(self):
        super().__init__()
        self.encoder = SpadVit(CONFIG)
        self.config = SimpleNamespace(patch_size=PATCH)

    def forward(self, volume):
        return functional.normalize(self.encoder(volume, DEGREE)[:, 1:].float().mean(dim=1), dim=-1)


@pytest.fixture(scope="module")
def toy():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        generator = torch.Generator().manual_seed(4)
        model = MeanToken()
        prompts = functional.normalize(torch.randn(6, CONFIG.width, generator=generator), dim=-1)
        target = prompt_contrast(prompts[:3], prompts[3:])
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(200):
            volumes, there, _ = blobs(16, generator)
            loss = functional.binary_cross_entropy_with_logits(8 * target(model(volumes)), there)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    volumes, there, masks = blobs(40, generator)
    scores = target(model(volumes)).detach()
    assert (scores[there == 1][:, None] > scores[there == 0]).float().mean() > 0.95, "the toy has not learnt its task"
    return SimpleNamespace(model=model.eval(), target=target, volumes=volumes[there == 1], masks=masks[there == 1])


def own_target(toy, volume):
    """The score of the map that `medfm embed` writes: how near a vector is to that of the whole volume."""
    vector = toy.model(volume).detach()[0]
    return lambda some: some @ vector


def test_energy_lies_in_the_blob_beyond_chance(toy):
    shares = [
        energy_inside(explain(toy.model, volume[None], toy.target, METHOD), mask)
        for volume, mask in zip(toy.volumes, toy.masks, strict=True)
    ]
    times = [share.times_chance for share in shares]
    assert sum(times) / len(times) > 5
    assert sum(one > 1 for one in times) >= 0.9 * len(times)


@pytest.mark.parametrize("what", ["finding", "own vector"])
def test_deletion_and_insertion_beat_random_orders(toy, what):
    gains = []
    for one in toy.volumes[:6]:
        target = toy.target if what == "finding" else own_target(toy, one[None])
        heat = explain(toy.model, one[None], target, METHOD)
        found = deletion_insertion(toy.model, one[None], target, heat, CurveSettings(8, 3))
        assert found.at_stake > 0.1
        gains.append((found.deletion_gain / found.at_stake, found.insertion_gain / found.at_stake))
    deletion, insertion = torch.tensor(gains).mean(dim=0).tolist()
    assert deletion > 0.3
    assert insertion > 0.1
    assert sum(gain > 0 for gain, _ in gains) >= 5


def test_parts_sum_up_to_what_is_at_stake(toy):
    volume = toy.volumes[:1]
    nothing = blurred_by_patches(volume, PATCH, 4.0)
    with torch.no_grad():
        change = float(toy.target(toy.model(volume)) - toy.target(toy.model(nothing)))
    errors = []
    for steps in (4, 32):
        parts = integrated(lambda some: toy.target(toy.model(some)).sum(), (nothing, volume), steps)
        assert parts.shape == volume.shape[1:]
        errors.append(abs(float(parts.sum()) - change))
        assert float(per_patch(parts, PATCH).sum()) * 32 == pytest.approx(float(parts.sum()), rel=1e-3)
    assert errors[1] < 0.03 * abs(change)
    assert errors[1] <= errors[0]


def test_a_linear_score_is_shared_out_exactly():
    generator = torch.Generator().manual_seed(0)
    weights, volume = torch.rand(2, 1, 2, 4, 6, 8, generator=generator)
    begin = torch.zeros_like(volume)
    parts = integrated(lambda some: (some * weights).sum(), (begin, volume), 1)
    torch.testing.assert_close(parts, (volume * weights)[0])


def test_maps_change_when_the_weights_are_randomised(toy):
    before = copy.deepcopy(toy.model.state_dict())
    runs = [
        randomisation_check(toy.model, one[None], toy.target, METHOD, seed) for seed, one in enumerate(toy.volumes[:3])
    ]
    parts = [stage.part for stage in runs[0]]
    assert parts[0] == "encoder.norm"
    assert [part for part in parts if "blocks" in part] == ["encoder.blocks.1", "encoder.blocks.0"]
    assert sum(run[-1].rank_correlation for run in runs) / len(runs) < 0.5
    assert all(torch.equal(before[name], value) for name, value in toy.model.state_dict().items())


def test_leaves_the_encoder_as_it_was(toy):
    model = copy.deepcopy(toy.model).train()
    model.encoder.set_activation_checkpointing(True)
    volume = toy.volumes[:1].clone()
    with torch.inference_mode():
        one = explain(model, volume, toy.target, METHOD)
    assert torch.equal(one, explain(model, volume, toy.target, METHOD))
    assert model.training
    assert model.encoder.blocks.checkpointing
    assert all(value.grad is None and value.requires_grad for value in model.parameters())
    assert not volume.requires_grad


def test_refuses_what_it_cannot_explain(toy):
    with pytest.raises(InputError, match="not one volume"):
        METHOD(toy.model, toy.volumes[:2], toy.target)
    with pytest.raises(InputError, match="divide"):
        METHOD(toy.model, toy.volumes[:1, ..., :-1], toy.target)
    with pytest.raises(InputError, match="differentiated"):
        METHOD(toy.model, toy.volumes[:1], lambda vectors: toy.target(vectors.detach()))
    with pytest.raises(CancelledError):
        METHOD(toy.model, toy.volumes[:1], toy.target, Silent(lambda: True))
    with pytest.raises(ValueError, match="above 0"):
        IntegratedGradients(steps=0)


@given(st.tuples(*[st.integers(1, 4)] * 3), st.floats(0.5, 5), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_blurring_stays_within_the_values_and_keeps_what_is_even(grid, sigma, seed):
    sides = tuple(n * p for n, p in zip(grid, PATCH, strict=True))
    volume = torch.rand(1, 2, *sides, generator=torch.Generator().manual_seed(seed))
    smooth = blurred_by_patches(volume, PATCH, sigma)
    assert smooth.shape == volume.shape
    assert volume.min() - 1e-5 <= smooth.min() <= smooth.max() <= volume.max() + 1e-5
    even = torch.full_like(volume, 0.25)
    torch.testing.assert_close(blurred_by_patches(even, PATCH, sigma), even)
