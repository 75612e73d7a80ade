"""TotalFM's image side: recorded outputs, sizes, and strict loading under both kinds of names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from parity_families.totalfm import read_config
from safetensors.torch import load_file, save_file

from medfm_core.errors import InputError, WeightsError
from medfm_core.models.sizes import read_sizes, size_config
from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig, sizes
from medfm_core.models.totalfm_weights import image_side, load_image_encoder, published_names

FIXTURE = Path(__file__).parents[2] / "data" / "parity" / "totalfm_tiny"
WEIGHTS = Path(f"{FIXTURE}_weights.safetensors")


@pytest.fixture(scope="module")
def config():
    return read_config(json.loads(Path(f"{FIXTURE}_config.json").read_text()))


@pytest.fixture(scope="module")
def encoder(config):
    return load_image_encoder(WEIGHTS, config)


@pytest.fixture(scope="module")
def recorded():
    return load_file(f"{FIXTURE}_io.safetensors")


def volume(recorded_input):
    """Recorded as (B, C, H, W, D)."""
    return recorded_input.permute(0, 1, 4, 2, 3)


@torch.inference_mode()
def test_recorded_tokens_and_embeddings_come_out(encoder, recorded):
    tokens = encoder.backbone(volume(recorded["x"]))
    for ours, name in [
        (tokens, "tokens"),
        (encoder.pooled(tokens), "embedding"),
        (encoder(volume(recorded["x_small_grid"])), "embedding_small_grid"),
    ]:
        torch.testing.assert_close(ours, recorded[name], atol=2e-5, rtol=0)


def test_embeddings_have_length_one_and_are_float32(encoder, recorded):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        embedding = encoder(volume(recorded["x"]))
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(embedding, recorded["embedding"], atol=0.03, rtol=0)


def test_names_of_the_release_are_met_one_to_one(config):
    names = published_names(config)
    assert set(names.values()) == set(load_file(WEIGHTS))
    assert len(set(names.values())) == len(names)


def test_weights_under_our_names_load_the_same(encoder, config, recorded, tmp_path):
    save_file(encoder.state_dict(), tmp_path / "ours.safetensors")
    again = load_image_encoder(tmp_path / "ours.safetensors", config)
    with torch.inference_mode():
        assert torch.equal(again(volume(recorded["x"])), encoder(volume(recorded["x"])))
    assert not any(p.requires_grad for p in again.parameters())
    assert not again.training


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_of_another_network_are_refused(change, config, tmp_path):
    state = load_file(WEIGHTS)
    if change == "missing":
        del state["vit.pool.cross_attn.q_bias"]
    elif change == "extra":
        state["vit.cls_token"] = torch.zeros(3)
    else:
        state["image_proj.bias"] = torch.zeros(3)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="of another network"):
        load_image_encoder(tmp_path / "other.safetensors", config)


def test_a_deeper_configuration_does_not_take_the_weights(config):
    with pytest.raises(WeightsError, match="missing"):
        load_image_encoder(WEIGHTS, dataclasses.replace(config, depth=3))


@pytest.mark.parametrize("container", ["model_state_dict", "model", None])
def test_the_image_side_of_a_checkpoint_leaves_the_text_side_behind(container):
    state = load_file(WEIGHTS)
    whole = {f"module.{name}": value for name, value in state.items()}
    whole |= {"text_encoder.layer.weight": torch.zeros(2), "text_proj.weight": torch.zeros(2)}
    whole |= {"logit_scale": torch.tensor(2.66), "logit_bias": torch.tensor(-10.0)}
    found = image_side({container: whole, "epoch": 3} if container else whole)
    assert found.keys() == state.keys()


@pytest.mark.parametrize("other", [{"vit.x": 0, "decoder.weight": 0}, {"text_proj.weight": 0}, {}])
def test_another_checkpoint_is_refused(other):
    with pytest.raises(WeightsError, match="not one of TotalFM"):
        image_side(other)


def test_the_released_size_has_131_million_parameters():
    with torch.device("meta"):
        encoder = ImageEncoder(size_config("totalfm", "released", TotalFMConfig))
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(131e6, rel=0.01)
    assert sum(p.numel() for p in encoder.backbone.blocks.parameters()) == pytest.approx(123.2e6, rel=0.001)
    assert size_config("totalfm", "released", TotalFMConfig) == TotalFMConfig()


def test_the_sizes_grow():
    counts = []
    for size in ("tiny", "small", "base", "released"):
        with torch.device("meta"):
            counts.append(
                sum(p.numel() for p in ImageEncoder(size_config("totalfm", size, TotalFMConfig)).parameters())
            )
    assert counts == sorted(counts)
    assert counts[0] < 7e6
    assert set(sizes()) == {"tiny", "small", "base", "released"}


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(InputError, match=r"smal.*nearest: small"):
        size_config("totalfm", "smal", TotalFMConfig)


@pytest.mark.parametrize("text", ["{", "[1]", '{"name": "other"}', "{}"])
def test_a_damaged_architecture_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDFM_RESOURCES", str(tmp_path))
    with pytest.raises(WeightsError, match="no architecture"):
        read_sizes("totalfm")
    (tmp_path / "architectures").mkdir()
    (tmp_path / "architectures" / "totalfm-tiny.json").write_text(text)
    with pytest.raises(WeightsError, match="not usable"):
        read_sizes("totalfm")


def test_every_parameter_gets_a_gradient(config):
    torch.manual_seed(0)
    encoder = ImageEncoder(config)
    (encoder(torch.randn(2, 3, 16, 32, 32)) * torch.randn(2, 40)).sum().backward()
    # The key's bias shifts all scores alike: softmax does not feel it.
    silent = {n for n, p in encoder.named_parameters() if p.grad is None or p.grad.abs().sum() == 0}
    assert silent <= {"pool.key.bias"}
