"""The volume transformer: visible tokens only, other grids, and what its configuration refuses."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from medfm_core.errors import InputError
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig

TINY = VolumeTransformerConfig((8, 16, 16), (2, 4, 4), channels=2, width=24, depth=3, heads=2, mlp_width=32, dropout=0)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return VolumeTransformer(TINY)


def test_seeing_some_patches_equals_seeing_all_with_attention_to_those_only(encoder):
    volume = torch.randn(2, 2, 8, 16, 16)
    hidden = torch.stack([torch.randperm(64) < 48 for _ in range(2)])
    seen = (~hidden).nonzero()[:, 1].view(2, 16)
    tokens = encoder.embed(volume)
    # Hidden rows look at the seen ones too, so that no row is empty.
    full = encoder.blocks(tokens, mask=~hidden[:, None, None, :])
    some = encoder(volume, seen)
    torch.testing.assert_close(some, full[~hidden].view(2, 16, 24), atol=1e-5, rtol=1e-5)


def test_the_order_of_the_visible_patches_is_the_order_of_the_tokens(encoder):
    volume, seen = torch.randn(1, 2, 8, 16, 16), torch.tensor([[5, 60, 17]])
    torch.testing.assert_close(encoder(volume, seen).flip(1), encoder(volume, seen.flip(1)))


def test_nothing_of_hidden_patches_reaches_the_tokens(encoder):
    volume = torch.randn(1, 2, 8, 16, 16, requires_grad=True)
    seen = torch.tensor([[0, 7, 33]])
    tokens = encoder(volume, seen)
    (gradient,) = torch.autograd.grad(tokens.square().sum(), volume)
    touched = encoder.patches(gradient)[0].abs().amax(dim=1) > 0
    assert touched.nonzero()[:, 0].tolist() == [0, 7, 33]


STEMMED = dataclasses.replace(TINY, stem=(8,))


def test_a_stem_sees_no_hidden_patch_either():
    torch.manual_seed(0)
    encoder = VolumeTransformer(STEMMED)
    volume = torch.rand(2, 2, 8, 16, 16, requires_grad=True)
    seen = torch.tensor([[0, 7, 33], [3, 2, 50]])
    (gradient,) = torch.autograd.grad(encoder(volume, seen).square().sum(), volume)
    touched = encoder.patches(gradient).abs().amax(dim=2) > 0
    assert [row.nonzero()[:, 0].tolist() for row in touched] == [[0, 7, 33], [2, 3, 50]]


def test_a_stem_keeps_the_order_of_tokens():
    torch.manual_seed(0)
    encoder = VolumeTransformer(STEMMED).eval()
    volume = torch.full((1, 2, 8, 16, 16), 0.5)
    changed = volume.clone()
    changed[:, :, 2:4, :4, 4:8] = 1.0  # second patch in depth, second column: token 5
    away = (encoder.embed(changed) - encoder.embed(volume)).abs().sum(dim=2)[0]
    assert away.argmax() == 5


def test_a_stem_that_does_not_fit_the_patch_is_refused():
    with pytest.raises(ValueError, match="halved"):
        dataclasses.replace(TINY, patch_size=(2, 4, 4), image_size=(8, 16, 16), stem=(8, 8, 8, 8))


def test_tokens_run_along_depth_fastest(encoder):
    volume = torch.zeros(1, 2, 8, 16, 16)
    volume[:, :, 2:4, :4, :4] = 1  # second patch in depth
    volume[:, :, :2, :4, 4:8] = 2  # second column
    volume[:, :, :2, 4:8, :4] = 3  # second row
    assert encoder.patches(volume)[0].mean(dim=1).nonzero()[:, 0].tolist() == [1, 4, 16]


@pytest.mark.parametrize("sides", [(2, 4, 4), (4, 32, 8), (8, 16, 16)])
def test_any_volume_of_whole_patches_is_taken(encoder, sides):
    tokens = encoder(torch.randn(1, 2, *sides))
    assert tokens.shape == (1, sides[0] * sides[1] * sides[2] // 32, 24)
    assert torch.isfinite(tokens).all()


def test_volumes_of_part_patches_are_refused(encoder):
    with pytest.raises(InputError, match="does not divide"):
        encoder(torch.randn(1, 2, 8, 16, 18))


def test_checkpointing_keeps_the_gradients(encoder):
    volume = torch.randn(1, 2, 8, 16, 16)
    gradients = []
    for on in (False, True):
        encoder.set_activation_checkpointing(on)
        encoder.zero_grad()
        encoder(volume).square().mean().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 25}, "multiple of 3"),
        ({"heads": 5}, "multiple of 3 and of heads"),
        ({"image_size": (8, 16, 18)}, "multiples of patch_size"),
        ({"depth": 0}, "depth 0"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_architectures_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        VolumeTransformerConfig(**{"width": 24, "heads": 2, **change})
