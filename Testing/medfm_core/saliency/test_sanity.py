"""The measures that say whether a map can be believed, on maps that are known to be good, random or wrong."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.saliency import (
    CurveSettings,
    Occlusion,
    deletion_insertion,
    energy_inside,
    explain,
    prompt_contrast,
    randomisation_check,
)
from medfm_core.saliency.randomisation import rank_correlation

METHODS = pytest.mark.parametrize(
    "method", ["attention_rollout", Occlusion(sides=(2, 1))], ids=["rollout", "occlusion"]
)


@METHODS
def test_deletion_and_insertion_beat_random_orders(toy, method):
    curves = [
        deletion_insertion(
            toy.encoder, one[None], toy.target, explain(toy.encoder, one[None], toy.target, method), CurveSettings(8, 4)
        )
        for one in toy.volumes[:8]
    ]
    assert min(one.at_stake for one in curves) > 0.1
    assert sum(one.deletion_gain for one in curves) / len(curves) > 0.1
    assert sum(one.insertion_gain for one in curves) / len(curves) > 0.03
    assert sum(one.deletion_gain > 0 for one in curves) >= 6


def test_the_blob_itself_is_a_better_map_than_its_opposite(toy):
    volume, mask = toy.volumes[:1], toy.masks[0].float()
    true, wrong = (deletion_insertion(toy.encoder, volume, toy.target, one) for one in (mask, 1 - mask))
    assert true.deletion_area < wrong.deletion_area
    assert true.deletion[0] == pytest.approx(toy.target(toy.encoder(volume)).item(), abs=1e-5)
    assert (true.deletion[-1], true.insertion[-1]) == pytest.approx((true.insertion[0], true.deletion[0]), abs=1e-6)
    assert len(true.shares) == 17
    assert true.shares[-1] == 1
    assert len(true.random_areas) == 8


def test_curves_are_functions_of_the_seed_and_keep_other_channels(toy):
    one, same, other = (
        deletion_insertion(toy.encoder, toy.volumes[:1], toy.target, toy.masks[0].float(), CurveSettings(4, 3, seed))
        for seed in (0, 0, 1)
    )
    assert one == same
    assert one.random_areas != other.random_areas
    still = CurveSettings(4, 1, image_channels=0)
    flat = deletion_insertion(toy.encoder, toy.volumes[:1], toy.target, toy.masks[0].float(), still)
    assert max(flat.deletion) == pytest.approx(min(flat.deletion), abs=1e-5)
    with pytest.raises(InputError, match="does not lie on"):
        deletion_insertion(toy.encoder, toy.volumes[:1], toy.target, toy.masks[0, 1:].float())


@METHODS
def test_maps_change_when_the_weights_are_randomised(toy, method):
    before = copy.deepcopy(toy.encoder.state_dict())
    runs = [
        randomisation_check(toy.encoder, one[None], toy.target, method, seed)
        for seed, one in enumerate(toy.volumes[:3])
    ]
    parts = [stage.part for stage in runs[0]]
    assert parts[:2] == ["projection", "head"]
    assert parts[-1] == "backbone.patch_embedding"
    assert [part for part in parts if "blocks" in part] == ["backbone.blocks.1", "backbone.blocks.0"]
    last = [run[-1].rank_correlation for run in runs]
    assert sum(last) / len(last) < 0.5
    assert all(torch.equal(before[name], value) for name, value in toy.encoder.state_dict().items())
    assert randomisation_check(toy.encoder, toy.volumes[:1], toy.target, method, 0) == runs[0]


def test_a_method_that_ignores_the_model_is_caught(toy):
    def edges(encoder, volume, target, progress=None):
        return volume[0, 0].diff(dim=0).abs()

    assert all(
        one.rank_correlation == 1.0 for one in randomisation_check(toy.encoder, toy.volumes[:1], toy.target, edges)
    )


def test_rank_correlation():
    values = torch.rand(4, 5, 6)
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, torch.ones(4, 5, 6)) == 0


@given(st.integers(0, 2**31), st.floats(0.05, 0.9))
@settings(max_examples=30, deadline=None)
def test_energy_shares_add_up_and_an_even_map_has_chance(seed, share):
    generator = torch.Generator().manual_seed(seed)
    saliency, mask = torch.rand(4, 5, 6, generator=generator), torch.rand(4, 5, 6, generator=generator) < share
    mask[0, 0, 0], mask[-1, -1, -1] = True, False
    inside, outside = energy_inside(saliency, mask), energy_inside(saliency, ~mask)
    assert inside.inside + outside.inside == pytest.approx(1)
    assert energy_inside(torch.ones(4, 5, 6), mask).times_chance == pytest.approx(1)
    assert energy_inside(saliency * mask, mask).inside == 1
    assert energy_inside(torch.zeros(4, 5, 6), mask).inside == 0


def test_energy_refuses_what_has_no_answer():
    ones = torch.ones(2, 2, 2)
    with pytest.raises(InputError, match="empty"):
        energy_inside(ones, ones * 0)
    with pytest.raises(InputError, match="does not lie on"):
        energy_inside(ones, torch.ones(2, 2, 3))
    with pytest.raises(InputError, match="negative or infinite"):
        energy_inside(-ones, ones)
    with pytest.raises(InputError, match="negative or infinite"):
        energy_inside(ones * torch.nan, ones)


def test_a_finding_needs_both_kinds_of_prompts():
    one = torch.eye(4)
    assert prompt_contrast(one[:1], one[1:3])(one).tolist() == [1.0, -0.5, -0.5, 0.0]
    with pytest.raises(InputError, match="at least one"):
        prompt_contrast(one, one[:0])
    with pytest.raises(InputError, match="one model"):
        prompt_contrast(one, torch.eye(3))
