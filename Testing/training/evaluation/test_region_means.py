"""Means over the parts of a volume: they know where, they are means, and a cache tells them apart."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medfm_core.errors import InputError
from training.evaluation.encoders import weights_digest
from training.evaluation.region_means import RegionMeans


class Patches(nn.Module):
    """Tokens are the volume's own patches of two voxels along each axis, after some that lie nowhere."""

    def __init__(self, nowhere: int = 0) -> None:
        super().__init__()
        self.config = SimpleNamespace(token_grid=lambda sides: tuple(side // 2 for side in sides))
        self.nowhere = nowhere

    def tokens(self, batch):
        cut = batch["image"].unfold(2, 2, 2).unfold(3, 2, 2).unfold(4, 2, 2)  # (B, 1, d, h, w, 2, 2, 2)
        tokens = cut.flatten(5).flatten(1, 4)
        return torch.cat([tokens.new_zeros(len(tokens), self.nowhere, 8), tokens], 1)

    def encode(self, batch):
        return self.tokens(batch).mean(1)


@settings(max_examples=20, deadline=None)
@given(parts=st.integers(1, 3), times=st.tuples(*[st.integers(1, 3)] * 3), seed=st.integers(0, 99))
def test_each_part_is_the_mean_of_its_tokens(parts, times, seed):
    """Where the parts divide the grid, cutting the volume first gives the same."""
    sides = [2 * parts * count for count in times]
    image = torch.randn(2, 1, *sides, generator=torch.Generator().manual_seed(seed))
    found = RegionMeans(Patches(), parts).encode({"image": image}).unflatten(1, (parts, parts, parts, 8))
    blocks = image.unflatten(2, (parts, -1)).unflatten(4, (parts, -1)).unflatten(6, (parts, -1))
    for d in range(parts):
        for h in range(parts):
            for w in range(parts):
                wanted = Patches().encode({"image": blocks[:, :, d, :, h, :, w]})
                torch.testing.assert_close(found[:, d, h, w], wanted)


def test_one_mean_does_not_know_sides_and_parts_do():
    image = torch.zeros(1, 1, 8, 8, 8)
    image[..., :4, 2:4, 2:4] = 1
    both = {"image": torch.cat([image, image.flip(2)])}
    whole, parts = (RegionMeans(Patches(), count).encode(both) for count in (1, 2))
    torch.testing.assert_close(whole[0], whole[1])
    assert (parts[0] - parts[1]).abs().max() > 0.1


def test_odd_grids_are_covered_whole():
    """Parts of three tokens along an axis share the one in the middle."""
    for place in range(27):
        image = torch.zeros(1, 1, 6, 6, 6)
        d, h, w = place // 9, place // 3 % 3, place % 3
        image[..., 2 * d : 2 * d + 2, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2] = 1
        shares = RegionMeans(Patches()).encode({"image": image}).unflatten(1, (8, 8))[0, :, 0]
        assert int((shares > 0).sum()) == 2 ** [d, h, w].count(1)


def test_a_cache_tells_numbers_of_parts_apart():
    assert weights_digest(RegionMeans(Patches(), 2)) != weights_digest(RegionMeans(Patches(), 3))


def test_what_cannot_be_is_a_sentence():
    image = {"image": torch.zeros(1, 1, 4, 4, 4)}
    with pytest.raises(InputError, match="no 0 parts"):
        RegionMeans(Patches(), 0)
    with pytest.raises(InputError, match="has 9 tokens"):
        RegionMeans(Patches(nowhere=1)).encode(image)
    assert RegionMeans(Patches(nowhere=1), 1).encode(image).shape == (1, 8)
    plain = nn.Sequential(nn.Flatten(1))
    plain.tokens = Patches().tokens
    with pytest.raises(InputError, match="where its tokens lie"):
        RegionMeans(plain).encode(image)
