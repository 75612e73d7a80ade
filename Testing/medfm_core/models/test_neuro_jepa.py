"""Neuro-JEPA: recorded outputs, exact sizes, and strict loading under both kinds of names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from parity_families.neuro_jepa import compare
from safetensors.torch import load_file, save_file

from medfm_core.errors import InputError, WeightsError
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder, sizes
from medfm_core.models.neuro_jepa_names import encoder_names, encoder_shapes, plain_name, published_shapes
from medfm_core.models.neuro_jepa_predictor import NeuroJepaPredictor, PredictorConfig
from medfm_core.models.neuro_jepa_weights import encoder_side, load_encoder, load_release, read_architecture
from medfm_core.models.sizes import size_config

FIXTURE = Path(__file__).parents[2] / "data" / "parity" / "neuro_jepa_tiny"
SMALL = NeuroJepaConfig(
    (8, 12, 8), (4, 4, 4), 1, width=24, depth=3, heads=4, mlp_width=48, expert_blocks=(1,),
    mixture=MixtureConfig(4, 2, 12, 24), positions="published",
)  # fmt: skip
ABOUT = {"model": {"img_size": [8, 12, 8], "embed_dim": 24, "moe": {"n_activated_experts": 2, "route_scale": 4.0}}}


def made_up(config=SMALL, prefix=""):
    generator = torch.Generator().manual_seed(0)
    return {
        prefix + name: torch.zeros(shape, dtype=torch.int64)
        if name.endswith("counts")
        else torch.randn(shape, generator=generator)
        for name, shape in published_shapes(config).items()
    }


def release(folder, tensors, about=ABOUT):
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(about))
    return folder


def test_recorded_outputs_come_out():
    config = json.loads(Path(f"{FIXTURE}_config.json").read_text())
    compared = compare(config, Path(f"{FIXTURE}_weights.safetensors"), load_file(f"{FIXTURE}_io.safetensors"))
    assert len(compared) == 10
    assert all(one.holds for one in compared), [(one.name, one.error) for one in compared]


def test_the_published_sizes_have_the_published_number_of_parameters():
    with torch.device("meta"):
        encoder = NeuroJepaEncoder(size_config("neuro_jepa", "released", NeuroJepaConfig))
        predictor = NeuroJepaPredictor(PredictorConfig())
        others = {size: NeuroJepaEncoder(size_config("neuro_jepa", size, NeuroJepaConfig)) for size in sizes()}
    assert sum(p.numel() for p in encoder.parameters()) == 122_054_544
    assert sum(p.numel() for p in predictor.parameters()) == 21_941_904
    assert list(others) == ["base", "large", "mini", "released", "small", "tiny"]
    dense = dataclasses.replace(encoder.config, expert_blocks=())
    with torch.device("meta"):
        assert sum(p.numel() for p in NeuroJepaEncoder(dense).parameters()) == 86_494_608


def test_the_release_has_the_names_of_the_specification():
    config = size_config("neuro_jepa", "released", NeuroJepaConfig)
    shapes = published_shapes(config)
    assert len(shapes) == 574
    assert shapes["patch_embed.proj.weight"] == (768, 1, 12, 12, 12)
    assert shapes["blocks.11.mlp.experts.15.fc2.weight"] == (768, 384)
    assert shapes["blocks.1.mlp.gate.gate.weight"] == (16, 768)
    assert shapes["blocks.0.attn.proj_attn_gate.bias"] == (12,)
    assert shapes["blocks.3.mlp.shared_experts.fc1.bias"] == (768,)
    assert shapes["blocks.5.mlp.counts"] == shapes["blocks.5.mlp.gate.bias"] == (16,)
    named = [part for parts in encoder_names(config).values() for part in parts]
    assert len(named) == len(set(named)) == 574 - 6
    wrapped = {f"module.backbone.{name}": shape for name, shape in shapes.items()}
    assert read_architecture(wrapped, {}) == config


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.backbone.", "student.vision_encoder._orig_mod."])
def test_a_release_loads_whatever_wrapped_it(tmp_path, prefix):
    tensors = made_up(prefix=prefix)
    encoder = load_release(release(tmp_path, tensors))
    assert encoder.config == SMALL
    kernel = tensors[f"{prefix}patch_embed.proj.weight"]
    volume = torch.randn(2, 1, 8, 12, 8)
    ours = encoder.embed(volume) - encoder.patch_embedding.linear.bias
    theirs = torch.nn.functional.conv3d(volume, kernel, stride=4).flatten(2).transpose(1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    third = encoder.blocks[1].mlp.experts.narrow_weight[3]
    assert torch.equal(third, tensors[f"{prefix}blocks.1.mlp.experts.3.fc2.weight"])
    assert torch.equal(encoder.blocks[1].mlp.router.balance, tensors[f"{prefix}blocks.1.mlp.gate.bias"])
    assert not any(p.requires_grad for p in encoder.parameters())


def test_our_own_names_load_too_and_say_the_same(tmp_path):
    encoder = load_release(release(tmp_path, made_up()))
    save_file(encoder.state_dict(), tmp_path / "ours.safetensors")
    again, volume = load_encoder(tmp_path / "ours.safetensors", SMALL), torch.randn(1, 1, 8, 12, 8)
    assert torch.equal(again(volume), encoder(volume))
    assert set(encoder.state_dict()) == set(encoder_shapes(SMALL))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.pop("norm.bias"),
        lambda t: t.update({"head.weight": torch.zeros(2)}),
        lambda t: t.update({"encoder.norm.bias": t["norm.bias"].clone()}),
        lambda t: t.update({"blocks.2.mlp.fc1.bias": torch.zeros(5)}),
        lambda t: t.pop("patch_embed.proj.weight"),
        lambda t: t.pop("blocks.1.mlp.experts.2.fc1.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, spoil):
    tensors = made_up()
    spoil(tensors)
    with pytest.raises(WeightsError):
        load_release(release(tmp_path, tensors))


@pytest.mark.parametrize(
    "model",
    [{"embed_dim": 48}, {"moe": {"score_func": "sigmoid"}}, {"moe": {"n_routed_experts": 16}}, {"img_size": [9, 9, 9]}],
)
def test_a_configuration_that_contradicts_the_weights_is_refused(tmp_path, model):
    with pytest.raises(WeightsError, match="not of a Neuro-JEPA"):
        load_release(release(tmp_path, made_up(), {"model": model}))


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_release(tmp_path)


def test_the_encoder_of_a_training_checkpoint_is_found():
    tensors = made_up(prefix="module.backbone.")
    found = encoder_side({"epoch": 3, "encoder": tensors, "target_encoder": {}, "opt": {}})
    assert set(found) == set(published_shapes(SMALL))
    with pytest.raises(WeightsError, match="no patch_embed"):
        encoder_side({"encoder": {"a": torch.zeros(1)}})
    assert plain_name("blocks.0._checkpoint_wrapped_module.norm1.weight") == "blocks.0.norm1.weight"


@pytest.mark.parametrize("positions", ["true", "published"])
def test_hidden_patches_do_not_reach_the_features_and_order_does_not_matter(positions):
    torch.manual_seed(0)
    encoder = NeuroJepaEncoder(dataclasses.replace(SMALL, positions=positions)).eval()
    volume, visible = torch.randn(1, 1, 8, 12, 8), torch.tensor([[0, 3, 7]])
    seen = encoder(volume, visible)
    changed = volume.clone()
    changed[..., 4:, 4:8, 4:] = 9  # patch 9
    assert torch.equal(encoder(changed, visible), seen)
    torch.testing.assert_close(encoder(volume, visible.flip(1)).flip(1), seen, atol=1e-6, rtol=0)
    assert not torch.allclose(encoder(volume, torch.tensor([[0, 3, 8]]))[:, :2], seen[:, :2], atol=1e-4)


def test_checkpointing_keeps_gradients_and_routing():
    torch.manual_seed(0)
    encoder, volume = NeuroJepaEncoder(SMALL), torch.randn(2, 1, 8, 12, 8)
    found = []
    for on in (False, True):
        encoder.set_activation_checkpointing(on)
        encoder.zero_grad()
        made = encoder.routed(volume)
        made.tokens.square().sum().backward()
        found.append([made.routing[1].scores, *(p.grad.clone() for p in encoder.parameters())])
        assert made.routing[0] is None
        assert made.routing[1].chosen.shape == (24, 2)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_volume_that_does_not_divide_is_refused():
    with pytest.raises(InputError, match="does not divide"):
        NeuroJepaEncoder(SMALL)(torch.zeros(1, 1, 9, 12, 8))


@pytest.mark.parametrize(
    "change", [{"heads": 5}, {"heads": 12}, {"expert_blocks": (3,)}, {"depth": 0}, {"patch_size": (5, 4, 4)}]
)
def test_impossible_architectures_are_refused(change):
    with pytest.raises(ValueError, match=r"heads|expert_blocks|depth|patch_size"):
        dataclasses.replace(SMALL, **change)
