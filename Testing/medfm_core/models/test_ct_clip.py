"""CT-CLIP's image encoder against a plain writing of the published order, and scans brought to size as published."""

from __future__ import annotations

import ct_clip_layout
import numpy as np
import published_checkpoints as published
import pytest
import torch
from torch.nn import functional

from medfm_core.card_inputs import InputSpec, Intensity, OrganCrop
from medfm_core.card_library import load_card
from medfm_core.geometry import Affine
from medfm_core.hub.key_map import drops_leading, map_keys
from medfm_core.models.ct_clip import CTClipConfig, ScanTransformer
from medfm_core.models.ct_clip_layers import nearest_entries
from medfm_core.volume import Volume, reorient
from medfm_core.whole_scan import scan_tensor

SMALL = CTClipConfig((12, 16, 24), (4, 8, 8), width=12, depth=2, heads=2, head_width=6, codebook=20, embedding_width=8)


def test_a_network_of_bricks_gives_what_its_layers_give_one_by_one():
    """With the card's own rules between the published names and ours."""
    drawn = torch.Generator().manual_seed(1)
    state = published.random_state(ct_clip_layout.published_shapes(SMALL, 16, beside=1))
    state = {name: value + 0.1 * torch.randn(value.shape, generator=drawn) for name, value in state.items()}
    rules = load_card("ct-clip.v1").weights[0].converted.rules
    ours = {
        new: state[old][0] if drops_leading(old, rules) else state[old] for new, old in map_keys(state, rules).items()
    }
    net = ScanTransformer(SMALL).eval()
    net.load_state_dict(ours, strict=True)
    volume = torch.rand((2, 1, *SMALL.image_size), generator=drawn) * 2 - 1
    with torch.no_grad():
        tokens = _tokens(volume, {name.removeprefix("visual_transformer."): value for name, value in state.items()})
        assert torch.allclose(net.features(volume), tokens, atol=1e-5)
        codes = state["visual_transformer.vq._codebook.embed"][0]
        cosines = functional.cosine_similarity(tokens[..., None, :], codes, dim=-1)
        flat = codes[cosines.argmax(-1)].mean(dim=1).reshape(2, -1)
        want = functional.normalize(flat @ state["to_visual_latent.weight"].T, dim=-1)
        found = net(volume)
    assert torch.allclose(found, want, atol=1e-5)
    assert torch.allclose(found.norm(dim=1), torch.ones(2))


def _tokens(x, state):
    """Tokens before the codebook, `(B, t, h, w, C)`, by the published names."""

    def norm(x, name, weight="weight", bias="bias"):
        return functional.layer_norm(x, x.shape[-1:], state[f"{name}.{weight}"], state[f"{name}.{bias}"])

    def linear(x, name):
        return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def attention(x, name, bias):
        queries, (keys, values) = (
            linear(norm(x, f"{name}.norm", "gamma", "beta"), f"{name}.to_q"),
            linear(x, f"{name}.to_kv").chunk(2, -1),
        )
        seen = []
        for head in range(SMALL.heads):
            part = slice(head * SMALL.head_width, (head + 1) * SMALL.head_width)
            q = functional.normalize(queries[..., part], dim=-1) * state[f"{name}.q_scale"]
            k = functional.normalize(keys[..., part], dim=-1) * state[f"{name}.k_scale"]
            weights = 8 * torch.einsum("nic,njc->nij", q, k) + (0 if bias is None else bias[head])
            seen.append(weights.softmax(-1) @ values[..., part])
        return linear(torch.cat(seen, -1), f"{name}.to_out")

    def transformer(x, name, shape, bias):
        for layer in range(SMALL.depth):
            at = f"{name}.layers.{layer}"
            near = functional.pad(x.reshape(*shape, -1).permute(0, 4, 1, 2, 3), (1, 1, 1, 1, 2, 0))
            weight, shift = (state[f"{at}.0.dsconv.{leaf}"] for leaf in ("weight", "bias"))
            near = functional.conv3d(near, weight, shift, groups=len(weight))
            x = near.permute(0, 2, 3, 4, 1).reshape(x.shape) + x
            x = attention(x, f"{at}.1", bias) + x
            value, gate = linear(norm(x, f"{at}.3.0"), f"{at}.3.1").chunk(2, -1)
            x = linear(functional.gelu(gate) * value, f"{at}.3.4") + x
        return norm(x, f"{name}.norm_out", "gamma", "beta")

    (t, h, w), (pt, p, _) = SMALL.token_grid, SMALL.patch_size
    x = x.unfold(2, pt, pt).unfold(3, p, p).unfold(4, p, p).flatten(5)[:, 0]
    x = norm(linear(norm(x, "to_patch_emb.1"), "to_patch_emb.2"), "to_patch_emb.3")
    places = torch.tensor([(row, column) for row in range(h) for column in range(w)])
    apart = (places[:, None] - places[None]).float()
    bias = apart.sign() * (apart.abs() + 1).log()
    for name in ("0.0", "1.0"):
        bias = functional.leaky_relu(linear(bias, f"spatial_rel_pos_bias.net.{name}"), 0.1)
    bias = linear(bias, "spatial_rel_pos_bias.net.2").permute(2, 0, 1)
    shape = (len(x), t, h, w)
    x = transformer(x.reshape(-1, h * w, SMALL.width), "enc_spatial_transformer", shape, bias)
    x = x.reshape(len(x) // t, t, h * w, -1).transpose(1, 2).reshape(-1, t, SMALL.width)
    x = transformer(x, "enc_temporal_transformer", shape, None)
    return x.reshape(shape[0], h, w, t, -1).permute(0, 3, 1, 2, 4)


def test_tokens_are_searched_in_parts():
    drawn = torch.Generator().manual_seed(0)
    codes, tokens = torch.randn((9, 4), generator=drawn), torch.randn((3, 700, 4), generator=drawn)
    found = nearest_entries(tokens * 7, codes)
    cosines = functional.cosine_similarity(tokens[..., None, :], codes, dim=-1)
    assert torch.equal(found, codes[cosines.argmax(-1)])


def test_the_released_size():
    config = load_card("ct-clip.v1").architecture.options
    assert CTClipConfig().token_grid == (24, 24, 24)
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in config.items() if hasattr(SMALL, name)} == vars(
        CTClipConfig()
    )
    with pytest.raises(ValueError, match="must be multiples of patch_size"):
        CTClipConfig((240, 480, 481))
    with pytest.raises(ValueError, match="at least 1"):
        CTClipConfig(depth=0)


def spec(size):
    return InputSpec(
        ("CT",), Intensity("clip_scale", (-1000, 1000), (-1, 1)), "LPS", (0.75, 0.75, 1.5), size=size,
        organs=OrganCrop(whole=True), resampling="face_to_face",
    )  # fmt: skip


def test_the_scan_is_brought_to_size_as_the_reference_does():
    """Clipped, interpolated and then cropped along two axes and padded along one, as the zero-shot scripts do it."""
    voxels = np.random.default_rng(0).normal(0, 900, (40, 31, 17)).astype(np.float32)
    spacing, size = (0.8, 0.7, 2.1), (26, 30, 20)
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    found, share = scan_tensor(Volume(voxels, Affine(matrix), modality="CT"), spec(size))
    clipped = torch.from_numpy(voxels.clip(-1000, 1000).transpose(2, 0, 1))[None, None]
    ratio = (spacing[2] / 1.5, spacing[0] / 0.75, spacing[1] / 0.75)
    sides = [int(count * factor) for count, factor in zip(clipped.shape[2:], ratio, strict=True)]
    want = functional.interpolate(clipped, sides, mode="trilinear", align_corners=False)[0] / 1000
    assert want.shape == (1, 23, 42, 28)
    want = functional.pad(want[:, :, 6:36, 4:24], (0, 0, 0, 0, 1, 2), value=-1.0)
    assert found.shape == want.shape == (1, *size)
    assert torch.allclose(found, want, atol=2e-5)
    assert share == pytest.approx(1 - 30 * 20 / (42 * 28))


def test_axes_run_to_superior_left_and_posterior():
    """Whatever the order in which a scan is stored."""
    voxels = np.full((20, 20, 10), -1000, np.int16)
    voxels[:10, :10, 5:] = 1000  # to Left, Posterior and Superior of an array that runs to Right, Anterior, Superior
    stored = Volume(voxels, Affine(np.diag([0.75, 0.75, 1.5, 1.0])), modality="CT")
    for codes in ("RAS", "LPS", "SAL"):
        found, share = scan_tensor(reorient(stored, codes), spec((10, 20, 20)))
        assert share == 0
        assert (found[0, 5:, 10:, 10:] == 1).all()
        assert int((found == 1).sum()) == 500


def test_face_to_face_is_for_whole_scans():
    with pytest.raises(ValueError, match="whole scans that clip"):
        InputSpec(("CT",), Intensity("none"), spacing_mm=(1, 1, 1), resampling="face_to_face")
