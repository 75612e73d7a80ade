"""Masks: exact counts, determinism, uniformity, and the form of tubes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from training.masking.provider import MaskRequest, hidden_count
from training.masking.random_tokens import RandomMask
from training.masking.split import split_mask
from training.masking.tube import TubeMask

grids = st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 5))
ratios = st.floats(0.01, 0.99)


@settings(deadline=None)
@given(grid=grids, ratio=ratios, seed=st.integers(0, 2**63))
def test_random_masks_hide_the_exact_count(grid, ratio, seed):
    mask = RandomMask(ratio)(MaskRequest(grid), np.random.default_rng(seed))
    assert mask.dtype == torch.bool
    assert mask.shape == (grid[0] * grid[1] * grid[2],)
    assert int(mask.sum()) == hidden_count(len(mask), ratio)
    assert 0 < mask.sum() < len(mask)


@settings(deadline=None)
@given(grid=grids, ratio=ratios, seed=st.integers(0, 2**63), axis=st.integers(0, 2))
def test_tubes_hide_the_exact_count_of_whole_columns(grid, ratio, seed, axis):
    mask = TubeMask(ratio, axis)(MaskRequest(grid), np.random.default_rng(seed)).view(grid)
    plane = mask.select(axis, 0)
    assert torch.equal(mask, plane.unsqueeze(axis).expand(grid))
    assert int(plane.sum()) == hidden_count(plane.numel(), ratio)


@pytest.mark.parametrize("provider", [RandomMask(0.6), TubeMask(0.6)])
def test_the_same_generator_draws_the_same_mask_and_another_one_another(provider):
    request = MaskRequest((6, 6, 3))
    draws = [provider(request, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("provider", [RandomMask(0.75), TubeMask(0.75)])
def test_every_token_is_hidden_equally_often(provider):
    rng, request, draws = np.random.default_rng(0), MaskRequest((4, 4, 2)), 4000
    counts = torch.stack([provider(request, rng) for _ in range(draws)]).double().sum(0)
    deviation = (draws * 0.75 * 0.25) ** 0.5
    assert (counts - 0.75 * draws).abs().max() < 4.5 * deviation
    # Pairs too: two columns are hidden together as often as without replacement implies.
    both = torch.stack([provider(request, rng)[[0, -1]].all() for _ in range(draws)]).double().mean()
    units = 32 if isinstance(provider, RandomMask) else 16
    hidden = 0.75 * units
    assert abs(both - hidden * (hidden - 1) / (units * (units - 1))) < 0.04


@pytest.mark.parametrize(
    ("units", "ratio", "count"),
    [(144, 0.9, 129), (100, 0.29, 29), (10, 0.9, 9), (4, 0.01, 1), (4, 0.99, 3), (576, 0.75, 432)],
)
def test_counts_round_down_and_leave_something_on_both_sides(units, ratio, count):
    assert hidden_count(units, ratio) == count


def test_a_grid_of_one_is_refused():
    with pytest.raises(InputError, match="grid of 1"):
        TubeMask(0.5)(MaskRequest((1, 1, 8)), np.random.default_rng(0))


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, float("nan")])
def test_shares_that_are_none_are_refused(ratio):
    with pytest.raises(ValueError, match="mask ratio"):
        RandomMask(ratio)


def test_the_released_geometry_leaves_fifteen_columns():
    mask = TubeMask(0.9)(MaskRequest((12, 12, 8)), np.random.default_rng(0))
    assert int((~mask).sum()) == 15 * 8


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), batch=st.integers(1, 4))
def test_splitting_a_mask_finds_every_token_once(seed, batch):
    rng = np.random.default_rng(seed)
    mask = torch.stack([RandomMask(0.4)(MaskRequest((3, 3, 2)), rng) for _ in range(batch)])
    seen, hidden = split_mask(mask)
    for row in range(batch):
        assert seen[row].tolist() == (~mask[row]).nonzero()[:, 0].tolist()
        assert hidden[row].tolist() == mask[row].nonzero()[:, 0].tolist()


def test_masks_of_different_counts_do_not_make_a_batch():
    with pytest.raises(InputError, match="different numbers"):
        split_mask(torch.tensor([[True, False, False], [True, True, False]]))


def test_a_provider_may_look_at_evidence():
    """What saliency-guided and foreground-aware masks need fits the interface."""

    def most_salient(request, rng):
        order = (request.evidence["saliency"] + 0.01 * torch.from_numpy(rng.random(request.tokens))).argsort()
        mask = torch.zeros(request.tokens, dtype=torch.bool)
        mask[order[-hidden_count(request.tokens, 0.5) :]] = True
        return mask

    request = MaskRequest((2, 2, 2), {"saliency": torch.arange(8.0)})
    assert most_salient(request, np.random.default_rng(0)).tolist() == [False] * 4 + [True] * 4
