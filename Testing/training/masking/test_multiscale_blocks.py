"""Masks of boxes: exact counts, whose they are, and that they leave more tissue to be seen; the foreground map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from training.engine.draw import DrawKey
from training.masking.foreground import foreground_tokens, foreground_voxels
from training.masking.multiscale_blocks import LARGE, MEDIUM, SMALL, BlockMask, BlockScale, adjust, draw_box
from training.masking.provider import MaskRequest, hidden_count

GRID = (8, 9, 8)
SCALES = (SMALL, MEDIUM, LARGE)


def ellipsoid(share=0.69):
    axes = [np.linspace(-1, 1, size) for size in GRID]
    radius = sum(part**2 for part in np.meshgrid(*axes, indexing="ij"))
    return torch.from_numpy((radius <= np.quantile(radius, share)).ravel())


@settings(deadline=None, max_examples=40)
@given(
    grid=st.tuples(st.integers(1, 6), st.integers(2, 6), st.integers(1, 6)),
    scale=st.sampled_from(SCALES),
    ratio=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**40),
)
def test_masks_hide_the_exact_count_on_any_grid(grid, scale, ratio, seed):
    rng = np.random.default_rng(seed)
    tissue = torch.from_numpy(rng.random(np.prod(grid)) < 0.5)
    mask = BlockMask(scale, ratio)(MaskRequest(grid, {"foreground": tissue}), rng)
    assert mask.dtype == torch.bool
    assert int(mask.sum()) == hidden_count(len(mask), ratio)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**40), scale=st.sampled_from(SCALES))
def test_boxes_lie_in_the_grid_and_keep_to_their_scale(seed, scale):
    box = draw_box(GRID, scale, np.random.default_rng(seed))
    sizes = [side.stop - side.start for side in box]
    assert all(side.start >= 0 and side.stop <= most for side, most in zip(box, GRID, strict=True))
    assert min(sizes) >= 1
    assert sizes[0] * sizes[1] <= 1.4 * max(scale.area[1] * 72, 4)


def test_each_sample_and_each_scale_has_a_mask_of_its_own():
    masks = {}
    for position in range(6):
        for kind in range(3):
            rng = DrawKey(1, position).rng(f"mask.{kind}")
            masks[position, kind] = tuple(BlockMask(SMALL)(MaskRequest(GRID), rng).tolist())
    assert len(set(masks.values())) == 18
    again = BlockMask(SMALL)(MaskRequest(GRID), DrawKey(1, 4).rng("mask.2"))
    assert tuple(again.tolist()) == masks[4, 2]


@pytest.mark.parametrize(("scale", "seen", "without"), [(SMALL, 0.49, 0.40), (MEDIUM, 0.43, 0.35), (LARGE, 0.50, 0.38)])
def test_more_tissue_is_seen_than_without_the_preference(scale, seen, without):
    """Shares that the reference gives on such a phantom: Neuro-JEPA spec, section 6.3."""
    tissue, provider = ellipsoid(), BlockMask(scale)
    shares = []
    for evidence in ({"foreground": tissue}, {}):
        rng = np.random.default_rng(0)
        masks = torch.stack([provider(MaskRequest(GRID, evidence), rng) for _ in range(120)])
        shares.append(float((~masks & tissue).sum() / (~masks).sum()))
    assert shares[0] > shares[1] + 0.04
    assert shares == pytest.approx([seen, without], abs=0.08)


def test_growing_takes_the_background_beside_the_mask_first():
    hidden, tissue = np.zeros((1, 1, 7), bool), np.ones((1, 1, 7), bool)
    hidden[0, 0, 3], tissue[0, 0, 4:] = True, False
    grown = adjust(hidden, tissue, 2, np.random.default_rng(0))
    assert grown[0, 0].tolist() == [False, False, False, True, True, False, False]
    shrunk = adjust(~hidden, tissue, 5, np.random.default_rng(0))
    assert shrunk[0, 0].tolist() == [True, True, False, False, True, True, True]


def test_a_mask_without_surface_is_filled_at_random():
    nothing = np.zeros(GRID, bool)
    assert adjust(nothing, nothing, 100, np.random.default_rng(0)).sum() == 100
    assert adjust(~nothing, nothing, 100, np.random.default_rng(0)).sum() == 100


def test_a_foreground_of_another_grid_is_refused():
    with pytest.raises(InputError, match="foreground"):
        BlockMask(SMALL)(MaskRequest(GRID, {"foreground": torch.ones(5)}), np.random.default_rng(0))


@pytest.mark.parametrize("change", [{"blocks": 0}, {"area": (0.5, 0.2)}, {"depth": (0.0, 1.5)}, {"aspect": (0.0, 1.0)}])
def test_impossible_boxes_are_refused(change):
    with pytest.raises(ValueError, match=r"blocks|area|depth|aspect"):
        BlockScale(**({"blocks": 2, "area": (0.1, 0.2)} | change))


def test_the_foreground_of_a_ball_is_the_ball():
    axes = torch.linspace(-1, 1, 24)
    ball = sum(part**2 for part in torch.meshgrid(axes, axes, axes, indexing="ij")) < 0.5
    image = ball.float()[None] * 0.8 + 0.02
    assert torch.equal(foreground_voxels(image), ball)
    tokens = foreground_tokens(ball, (12, 12, 12))
    assert tokens.tolist() == [True] * 8
    assert foreground_tokens(ball, (6, 6, 6)).view(4, 4, 4)[0, 0, 0].item() is False
    assert not foreground_voxels(torch.zeros(1, 4, 4, 4)).any()


def test_a_tenth_of_the_voxels_makes_a_token_foreground():
    voxels = torch.zeros(2, 5, 2, dtype=torch.bool)
    voxels[0, 0, 0] = True
    assert foreground_tokens(voxels, (2, 5, 1)).tolist() == [True, False]
