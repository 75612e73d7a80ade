"""Published names and shapes of the SPAD checkpoints, made-up checkpoints of them, and EVA-02 as a start."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from medfm_core.errors import WeightsError
from medfm_core.models.sizes import size_config
from medfm_core.models.spad_initialisation import eva02_mask_token, eva02_state
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_names import masked_names, shapes_of, tokenizer_names, vit_names
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.models.spad_weights import (
    load_spad_masked,
    load_spad_tokenizer,
    load_spad_vit,
    masked_side,
    tokenizer_side,
)

TOKENIZER = SpadTokenizerConfig(widths=(8, 16, 24), tokens=32, up_reduction="sum")
VIT = SpadVitConfig(patch=4, width=24, depth=2, heads=2, mlp_width=32, position_grid=(2, 3, 4))


def pair(places, weight, bias=None):
    first, *rest = weight if isinstance(weight, tuple) else (weight,)
    bias = first if bias is None else bias
    return {f"{p}.{leaf}": shape for p in places for leaf, shape in (("weight", (first, *rest)), ("bias", (bias,)))}


def published_tokenizer():
    """Names and shapes as SPAD spec, section 9, lists them."""
    return (
        {"quantize.proj.weight": (1024, 512), "quantize.proj.bias": (1024,), "quantize.embedding.weight": (1024, 512)}
        | pair(["encoder.0"], (128, 3, 4, 4, 4)) | pair(["encoder.1.1"], 128)
        | pair(["encoder.3"], (256, 128, 2, 2, 2)) | pair(["encoder.4.1"], 256)
        | pair(["encoder.6"], (512, 256, 2, 2, 2)) | pair(["encoder.7.1", "encoder.10", "encoder.13"], 512)
        | pair(["encoder.9", "encoder.12", "decoder.0", "decoder.3"], (512, 512, 3, 3, 3))
        | pair(["decoder.1", "decoder.4"], 512)
        | pair(["decoder.6.transposed_conv"], (512, 256, 2, 2, 2), 256)
        | pair(["decoder.6.conv.0"], (256, 256, 3, 3, 3)) | pair(["decoder.6.conv.1"], 256)
        | pair(["decoder.7.transposed_conv"], (256, 128, 2, 2, 2), 128)
        | pair(["decoder.7.conv.0"], (128, 128, 3, 3, 3)) | pair(["decoder.7.conv.1"], 128)
        | pair(["decoder.8"], (128, 3, 4, 4, 4), 3)
    )  # fmt: skip


def published_vit():
    found = {"cls_token": (1, 1, 768), "pos_embed": (1, 768, 5, 10, 10), "mask_token": (1, 1, 768)}
    found |= pair(["patch_embed.proj"], (768, 3, 16, 16, 16)) | pair(["norm"], 768)
    found |= pair(["mim_head.0"], (768, 768)) | pair(["mim_head.2"], (1024, 768))
    for i in range(12):
        at = f"blocks.{i}"
        found |= pair([f"{at}.norm1", f"{at}.norm2"], 768) | pair([f"{at}.attn.proj"], (768, 768))
        found |= {f"{at}.attn.{name}_proj.weight": (768, 768) for name in "qkv"}
        found |= {f"{at}.attn.q_bias": (768,), f"{at}.attn.v_bias": (768,)}
        found |= pair([f"{at}.mlp.w1", f"{at}.mlp.w2"], (2048, 768)) | pair([f"{at}.mlp.ffn_ln"], 2048)
        found |= pair([f"{at}.mlp.w3"], (768, 2048))
    return found


def test_names_and_shapes_of_the_published_tokenizer():
    config = size_config("spad_tokenizer", "released", SpadTokenizerConfig)
    shapes, names = shapes_of(SpadTokenizer, config), tokenizer_names(config)
    assert {names[ours]: shape for ours, shape in shapes.items()} == published_tokenizer()
    assert names.keys() == shapes.keys()


def test_names_and_shapes_of_the_published_transformer():
    config = size_config("spad_vit", "base", SpadVitConfig)
    shapes, names = shapes_of(SpadMaskedModel, config, 1024), masked_names(config)
    assert {names[ours]: shape for ours, shape in shapes.items()} == published_vit()
    assert names.keys() == shapes.keys()


def made_up(kind, names, *arguments):
    """A model with weights of its own, and its state under the published names."""
    torch.manual_seed(1)
    model = kind(*arguments).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.1)
    return model, {names[name]: value.clone() for name, value in model.state_dict().items()}


def test_a_tokenizer_checkpoint_loads(tmp_path):
    model, state = made_up(SpadTokenizer, tokenizer_names(TOKENIZER), TOKENIZER)
    whole = {"model": {f"module.{n}": v for n, v in state.items()}, "discriminator": {"0.weight": 0}, "step": 3}
    save_file(tokenizer_side(whole), tmp_path / "theirs.safetensors")
    save_file(model.state_dict(), tmp_path / "ours.safetensors")
    volume = torch.randn(1, 3, 4, 16, 16)
    for name in ("theirs", "ours"):
        loaded = load_spad_tokenizer(tmp_path / f"{name}.safetensors", TOKENIZER)
        torch.testing.assert_close(loaded(volume, 2).volume, model(volume, 2).volume)
        assert not loaded.training
        assert not any(value.requires_grad for value in loaded.parameters())


def test_a_tokenizer_without_projection_takes_the_codebook_for_one(tmp_path):
    _, state = made_up(SpadTokenizer, tokenizer_names(TOKENIZER), TOKENIZER)
    del state["quantize.proj.weight"], state["quantize.proj.bias"]
    save_file(tokenizer_side(state), tmp_path / "w.safetensors")
    loaded = load_spad_tokenizer(tmp_path / "w.safetensors", TOKENIZER)
    assert torch.equal(loaded.quantiser.projection.weight, loaded.quantiser.codebook)
    assert loaded.quantiser.projection.bias.abs().sum() == 0


def test_a_transformer_checkpoint_loads(tmp_path):
    model, state = made_up(SpadMaskedModel, masked_names(VIT), VIT, 32, 1)
    save_file(masked_side({"state_dict": state, "epoch": 2}), tmp_path / "w.safetensors")
    volume = torch.randn(1, 3, 2, 8, 8)
    loaded = load_spad_masked(tmp_path / "w.safetensors", VIT, 32, 1)
    visible, hidden = torch.tensor([[0, 3]]), torch.tensor([[1, 2]])
    torch.testing.assert_close(loaded(volume, 1, visible, hidden), model(volume, 1, visible, hidden))
    torch.testing.assert_close(load_spad_vit(tmp_path / "w.safetensors", VIT)(volume, 1), model.encoder(volume, 1))
    save_file(model.encoder.state_dict(), tmp_path / "ours.safetensors")
    torch.testing.assert_close(load_spad_vit(tmp_path / "ours.safetensors", VIT)(volume, 1), model.encoder(volume, 1))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "depth"])
def test_weights_of_another_network_are_refused(change, tmp_path):
    _, state = made_up(SpadVit, vit_names(VIT), VIT)
    config = dataclasses.replace(VIT, depth=3) if change == "depth" else VIT
    if change == "missing":
        del state["blocks.1.attn.q_bias"]
    elif change == "extra":
        state["rope.table"] = torch.zeros(3)
    elif change == "shape":
        state["pos_embed"] = torch.zeros(1, 24, 2, 3, 3)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="of another network"):
        load_spad_vit(tmp_path / "w.safetensors", config)


@pytest.mark.parametrize("side", [tokenizer_side, masked_side])
@pytest.mark.parametrize("other", [{}, {"text.weight": torch.zeros(1)}, {"encoder.0.weight": 3, "blocks.0.norm1": 3}])
def test_another_checkpoint_is_refused(side, other):
    with pytest.raises(WeightsError, match="not one of"):
        side(other)


def eva02(timm=False, side=14):
    """A made-up EVA-02 of our width, under its own names or timm's."""
    torch.manual_seed(2)
    _, state = made_up(SpadVit, vit_names(VIT), VIT)
    state["patch_embed.proj.weight"] = torch.randn(24, 3, side, side)
    state["pos_embed"] = torch.randn(1, 37, 24)
    state |= {"mask_token": torch.randn(1, 1, 24), "rope.freqs_cos": torch.zeros(36, 12)}
    if timm:
        new = {
            "w1": "fc1_g",
            "w2": "fc1_x",
            "ffn_ln": "norm",
            "w3": "fc2",
            "q_bias": "q_proj.bias",
            "v_bias": "v_proj.bias",
        }
        for old, name in new.items():
            state = {key.replace(f".{old}", f".{name}"): value for key, value in state.items()}
        state = {key.replace("norm.", "fc_norm.") if key.startswith("norm.") else key: v for key, v in state.items()}
        return state | {"head.weight": torch.zeros(5, 24), "head.bias": torch.zeros(5)}
    return {"module": state | {"lm_head.weight": torch.zeros(5, 24), "lm_head.bias": torch.zeros(5)}}


def test_eva_02_under_both_kinds_of_names_is_the_same_start():
    own, timm = eva02_state(eva02(), VIT), eva02_state(eva02(timm=True), VIT)
    assert own.keys() == timm.keys() == shapes_of(SpadVit, VIT).keys()
    assert all(torch.equal(own[name], timm[name]) for name in own)
    SpadVit(VIT).load_state_dict(own, strict=True)
    assert torch.equal(eva02_mask_token(eva02()), eva02()["module"]["mask_token"])
    assert eva02_mask_token({}) is None


def test_a_slice_is_embedded_as_eva_02_embeds_it():
    checkpoint = eva02(side=4)
    vit = SpadVit(VIT)
    vit.load_state_dict(eva02_state(checkpoint, VIT))
    image, theirs = torch.randn(1, 3, 8, 8), checkpoint["module"]
    patches = functional.conv2d(image, theirs["patch_embed.proj.weight"], theirs["patch_embed.proj.bias"], 4)
    ours = vit.embed(image[:, :, None], 5) - vit.positions((1, 2, 2))
    torch.testing.assert_close(ours, patches.flatten(2).transpose(1, 2))


def test_positions_of_eva_02():
    checkpoint = eva02()["module"]
    state = eva02_state({"module": checkpoint}, VIT)
    assert torch.equal(state["class_token"], checkpoint["cls_token"] + checkpoint["pos_embed"][:, :1])
    grid = checkpoint["pos_embed"][:, 1:].transpose(1, 2).reshape(1, 24, 6, 6)
    rows = functional.adaptive_avg_pool2d(grid, (3, 4))
    for depth in range(2):
        torch.testing.assert_close(state["positions.table"][:, :, depth], rows)


@pytest.mark.parametrize("change", [{"depth": 3}, {"depth": 1}, {"width": 48, "heads": 4}, {"mlp_width": 33}])
def test_eva_02_of_another_size_is_refused(change):
    with pytest.raises(WeightsError, match="EVA-02"):
        eva02_state(eva02(), dataclasses.replace(VIT, **change))
