"""BrainIAC's encoder against MONAI's network and against its layers one by one."""

from __future__ import annotations

import math

import brainiac_layout
import published_checkpoints as published
import pytest
import torch
from torch.nn import functional

from medfm_core.card_library import load_card
from medfm_core.errors import InputError
from medfm_core.hub.key_map import map_keys
from medfm_core.hub.targets import expected_shapes
from medfm_core.models.brainiac import BrainIACConfig, BrainIACEncoder
from medfm_core.models.encoded import pooled

SMALL = BrainIACConfig((8, 12, 16), (4, 4, 8), width=12, depth=2, heads=3, mlp_width=20)


@pytest.fixture(scope="module")
def small():
    """A network filled by the card's own rules, the published state, and two volumes."""
    drawn = torch.Generator().manual_seed(1)
    state = published.random_state(brainiac_layout.published_shapes(SMALL, projected=4))
    state = {name: value + 0.1 * torch.randn(value.shape, generator=drawn) for name, value in state.items()}
    renamed = map_keys(state, load_card("brainiac.v1").weights[0].converted.rules)
    net = BrainIACEncoder(SMALL).eval()
    net.load_state_dict({new: state[old] for new, old in renamed.items()}, strict=True)
    return net, state, torch.randn((2, 1, *SMALL.image_size), generator=drawn)


def test_the_layers_in_their_order(small):
    net, state, volume = small
    state = {name.removeprefix("backbone."): value for name, value in state.items()}

    def norm(x, name):
        return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    kernel = state["patch_embedding.patch_embeddings.weight"]
    cut = volume.unfold(2, 4, 4).unfold(3, 4, 4).unfold(4, 8, 8)  # B, C, d, h, w and the voxels of a patch
    x = torch.einsum("bcdhwijk,ocijk->bdhwo", cut, kernel) + state["patch_embedding.patch_embeddings.bias"]
    x = x.flatten(1, 3) + state["patch_embedding.position_embeddings"]
    for block in range(SMALL.depth):
        at = f"blocks.{block}"
        made = linear(norm(x, f"{at}.norm1"), f"{at}.attn.qkv").reshape(2, -1, 3, SMALL.heads, 4)
        query, key, value = made.permute(2, 0, 3, 1, 4)
        seen = (query @ key.transpose(-1, -2) / math.sqrt(4)).softmax(-1) @ value
        x = x + linear(seen.transpose(1, 2).flatten(2), f"{at}.attn.out_proj")
        hidden = functional.gelu(linear(norm(x, f"{at}.norm2"), f"{at}.mlp.linear1"))
        x = x + linear(hidden, f"{at}.mlp.linear2")
    with torch.no_grad():
        found = net.routed(volume)
    assert torch.allclose(found.tokens, norm(x, "norm"), atol=1e-5)
    assert found.routing == ()


def test_monais_network_gives_the_same(small):
    pytest.importorskip("einops")  # which MONAI's network needs and MedFM does not
    vit = pytest.importorskip("monai.networks.nets.vit").ViT
    net, state, volume = small
    theirs = vit(
        in_channels=1, img_size=SMALL.image_size, patch_size=SMALL.patch_size, hidden_size=SMALL.width,
        mlp_dim=SMALL.mlp_width, num_layers=SMALL.depth, num_heads=SMALL.heads,
    ).eval()  # fmt: skip
    kept = {name.removeprefix("backbone."): v for name, v in state.items() if name.startswith("backbone.")}
    left = theirs.load_state_dict(kept, strict=False)
    assert not left.unexpected_keys
    assert all("cross_attn" in name for name in left.missing_keys)  # parts that newer versions have and do not use
    with torch.no_grad():
        tokens = theirs(volume)[0]
        assert torch.allclose(net(volume), tokens, atol=1e-5)
        assert torch.equal(pooled(net(volume), net.pooling), net(volume)[:, 0])


def test_a_volume_of_another_size_is_refused(small):
    net, _, volume = small
    with pytest.raises(InputError, match="4 x 12 x 16 voxels instead of 8 x 12 x 16"):
        net(volume[:, :, :4])


def test_the_published_size():
    """88.3 M parameters, as those count them who loaded the file; every tensor has its place, and no other."""
    card = load_card("brainiac.v1")
    state = brainiac_layout.published_shapes(BrainIACConfig())
    renamed = map_keys(state, card.weights[0].converted.rules)
    expected = expected_shapes(card, card.weights[0])
    assert {new: state[old] for new, old in renamed.items()} == dict(expected)
    assert sum(math.prod(shape) for shape in expected.values()) == 88_340_736
