"""The decoder: voxels of the right number at the right place."""

from __future__ import annotations

import pytest
import torch

from medfm_core.errors import InputError
from training.heads.voxel_decoder import VoxelDecoder, VoxelDecoderConfig, doublings


@pytest.mark.parametrize("patch", [(4, 16, 16), (8, 8, 8), (1, 2, 2), (3, 5, 6), (1, 1, 1)])
@pytest.mark.parametrize("layers", [1, 3])
def test_there_is_a_score_for_every_voxel(patch, layers):
    decoder = VoxelDecoder(12, 3, VoxelDecoderConfig(patch, width=16, least_width=4, layers=layers))
    tokens = [torch.randn(2, 12, 12) for _ in range(layers)]
    logits = decoder(tokens if layers > 1 else tokens[0], (2, 2, 3))
    assert logits.shape == (2, 3, 2 * patch[0], 2 * patch[1], 3 * patch[2])
    logits.sum().backward()
    assert all(value.grad is not None for value in decoder.parameters())


def test_the_coarsest_axes_are_doubled_first_and_the_product_is_never_above_the_patch():
    assert doublings((4, 16, 16)) == [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert doublings((1, 1, 1)) == []
    for patch in ((3, 5, 7), (2, 14, 14), (6, 6, 1)):
        product = torch.tensor(doublings(patch)).prod(dim=0)
        assert (product <= torch.tensor(patch)).all()
        assert (2 * product > torch.tensor(patch)).all()


def test_a_token_moves_the_voxels_around_its_place_most():
    grid, place = (7, 6, 5), (5, 1, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = VoxelDecoder(8, 2, VoxelDecoderConfig((2, 4, 4), width=16, context=())).eval()
        tokens, other = torch.randn(1, 7 * 6 * 5, 8), torch.randn(8)
    moved = tokens.clone()
    moved[0, (5 * 6 + 1) * 5 + 3] = other
    change = (decoder(moved, grid) - decoder(tokens, grid)).abs().sum(1)[0]
    blocks = change.reshape(7, 2, 6, 4, 5, 4).mean(dim=(1, 3, 5)).flatten()
    strongest = torch.stack(torch.unravel_index(blocks.topk(5).indices, grid), dim=1)
    assert (strongest - torch.tensor(place)).abs().max() <= 1


def test_tokens_of_another_grid_or_number_of_layers_are_refused():
    decoder = VoxelDecoder(8, 2, VoxelDecoderConfig((2, 2, 2), width=8, layers=2))
    with pytest.raises(InputError, match="not a grid"):
        decoder([torch.randn(1, 9, 8)] * 2, (2, 2, 2))
    with pytest.raises(InputError, match="1 layers"):
        decoder(torch.randn(1, 8, 8), (2, 2, 2))
    with pytest.raises(InputError, match="patch_size"):
        VoxelDecoderConfig((0, 2, 2))
