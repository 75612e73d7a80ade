"""The convolutional stem: its grid, its strides, and what it tells that a normalised patch does not."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.layers.convolutional_stem import ConvolutionalStem, stem_strides
from medfm_core.layers.patch_embedding import PatchEmbedding
from medfm_core.layers.patches import patchify


@settings(deadline=None, max_examples=25)
@given(sides=st.tuples(*[st.sampled_from((1, 2, 4, 8, 12))] * 3), steps=st.integers(1, 3))
def test_the_strides_make_one_voxel_of_a_patch(sides, steps):
    try:
        strides = stem_strides(sides, steps)
    except ValueError:
        assert steps > 1
        return
    assert len(strides) == steps
    assert tuple(math.prod(axis) for axis in zip(*strides, strict=True)) == sides
    assert all(stride in (1, 2) for step in strides[1:] for stride in step)


def test_the_tokens_lie_on_the_grid_of_the_patches():
    stem = ConvolutionalStem(3, (8, 12), 16, (4, 8, 8))
    assert stem(torch.rand(2, 3, 8, 24, 16)).shape == (2, 16, 2, 3, 2)


def test_a_side_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="cannot be halved 2 times"):
        stem_strides((4, 6, 6), 3)


def test_absolute_intensity_reaches_the_tokens_unlike_through_a_normalised_patch():
    torch.manual_seed(0)
    stem, linear = ConvolutionalStem(1, (8,), 16, (2, 4, 4)), PatchEmbedding(32, 16)
    dark = 0.3 + 0.05 * torch.rand(1, 1, 2, 4, 4)
    bright = dark + 0.4
    assert (stem(dark) - stem(bright)).abs().max() > 0.1
    same = [linear(patchify(volume, (2, 4, 4))) for volume in (dark, bright)]
    torch.testing.assert_close(*same, atol=0.02, rtol=0)
