"""Patches: the order of what is in them, the way back, and agreement with a strided convolution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.layers.patch_embedding import PatchEmbedding
from medfm_core.layers.patches import patch_grid, patchify, unpatchify
from medfm_core.layers.tokens import gather_tokens

side = st.integers(1, 3)


@settings(deadline=None, max_examples=25)
@given(grid=st.tuples(side, side, side), patch=st.tuples(side, side, side), channels=side)
def test_unpatchify_undoes_patchify(grid, patch, channels):
    volume = torch.randn(2, channels, *(n * p for n, p in zip(grid, patch, strict=True)))
    patches = patchify(volume, patch)
    assert patches.shape == (2, grid[0] * grid[1] * grid[2], patch[0] * patch[1] * patch[2] * channels)
    assert torch.equal(unpatchify(patches, grid, patch), volume)


def test_the_last_axis_of_the_grid_and_the_channel_within_a_patch_run_fastest():
    volume = torch.arange(2 * 2 * 2 * 4).view(1, 2, 2, 2, 4)
    patches = patchify(volume, (1, 1, 2))
    assert torch.equal(patches[0, 1], torch.stack([volume[0, :, 0, 0, 2], volume[0, :, 0, 0, 3]]).flatten())
    assert torch.equal(patches[0, 2], torch.stack([volume[0, :, 0, 1, 0], volume[0, :, 0, 1, 1]]).flatten())


@pytest.mark.parametrize("sides", [(8, 8, 9), (8, 8, 2), (8, 8)])
def test_volumes_that_do_not_divide_are_refused(sides):
    with pytest.raises(InputError, match="4 x 4 x 4"):
        patch_grid(sides, (4, 4, 4))


def test_the_bare_embedding_is_a_strided_convolution():
    torch.manual_seed(0)
    embedding = PatchEmbedding(2 * 3 * 4 * 2, 10, normalised=False)
    weight = embedding.linear.weight.view(10, 2, 3, 4, 2).permute(0, 4, 1, 2, 3)
    volume = torch.randn(2, 2, 4, 6, 8)
    plain = torch.nn.functional.conv3d(volume, weight, embedding.linear.bias, stride=(2, 3, 4))
    torch.testing.assert_close(embedding(patchify(volume, (2, 3, 4))), plain.flatten(2).transpose(1, 2))


def test_the_normalised_embedding_ignores_brightness_and_contrast_of_a_patch():
    embedding = PatchEmbedding(64, 12)
    patch = torch.randn(1, 3, 64)
    torch.testing.assert_close(embedding(patch), embedding(5 * patch + 7), atol=1e-4, rtol=1e-4)


def test_tokens_are_gathered_sample_by_sample():
    tokens = torch.arange(12.0).view(2, 3, 2)
    picked = gather_tokens(tokens, torch.tensor([[2, 0], [1, 1]]))
    assert picked.tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
