"""The text projection and the logits: values, types, and strict loading from a made-up checkpoint of the release."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file

from medfm_core.errors import WeightsError
from medfm_core.models.text_projection import Logits, TextProjection
from medfm_core.models.totalfm_weights import image_side, language_model_side, load_text_side, text_side

TEXT, WIDTH = 6, 5


def checkpoint(**changes):
    generator = torch.Generator().manual_seed(1)
    tensors = {
        "text_proj.weight": torch.randn(WIDTH, TEXT, generator=generator),
        "text_proj.bias": torch.randn(WIDTH, generator=generator),
        "logit_scale": torch.tensor([2.0]),
        "logit_bias": torch.tensor(-9.0),
        "vit.proj.1.weight": torch.zeros(2),
        "text_encoder.layers.0.weight": torch.ones(3),
        "text_encoder.norm.weight": torch.ones(2),
    }
    tensors |= changes
    return {f"module.{name}": value for name, value in tensors.items() if value is not None}


@pytest.fixture
def saved(tmp_path):
    save_file(text_side({"model_state_dict": checkpoint()}), tmp_path / "text.safetensors")
    return tmp_path / "text.safetensors"


def test_the_projection_has_length_one_in_float32_under_autocast():
    torch.manual_seed(0)
    projection = TextProjection(TEXT, WIDTH)
    vectors = torch.randn(4, TEXT)
    with torch.autocast("cpu", torch.bfloat16):
        found = projection(vectors)
        half = projection(vectors.bfloat16())
    assert found.dtype == half.dtype == torch.float32
    assert torch.equal(found, projection(vectors))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


def test_logits_start_where_the_loss_wants_them():
    images, sentences = torch.eye(3)[:2], torch.eye(3)
    with torch.autocast("cpu", torch.bfloat16):
        found = Logits()(images, sentences)
    expected = torch.eye(3)[:2] / 0.07 - 10
    torch.testing.assert_close(found, expected)
    assert Logits().scale.item() == pytest.approx(math.log(1 / 0.07))


def test_the_text_side_of_a_checkpoint_loads(saved):
    projection, logits = load_text_side(saved, TEXT, WIDTH)
    tensors = checkpoint()
    vectors = torch.randn(3, TEXT, generator=torch.Generator().manual_seed(2))
    plain = vectors @ tensors["module.text_proj.weight"].T + tensors["module.text_proj.bias"]
    torch.testing.assert_close(projection(vectors), plain / plain.norm(dim=1, keepdim=True))
    assert (logits.scale.item(), logits.bias.item()) == (2.0, -9.0)
    assert not any(p.requires_grad for part in (projection, logits) for p in part.parameters())


def test_our_names_load_the_same(saved, tmp_path):
    projection, logits = load_text_side(saved, TEXT, WIDTH)
    ours = {f"text_projection.{name}": value for name, value in projection.state_dict().items()}
    ours |= {f"logits.{name}": value for name, value in logits.state_dict().items()}
    save_file({name: value.half() for name, value in ours.items()}, tmp_path / "ours.safetensors")
    again, numbers = load_text_side(tmp_path / "ours.safetensors", TEXT, WIDTH)
    torch.testing.assert_close(again.linear.weight, projection.linear.weight, atol=2e-3, rtol=0)
    assert again.linear.weight.dtype == torch.float32
    assert numbers.scale.item() == 2.0


@pytest.mark.parametrize(("text_width", "width"), [(TEXT + 1, WIDTH), (TEXT, WIDTH + 1)])
def test_another_width_is_refused(text_width, width, saved):
    with pytest.raises(WeightsError, match="another shape"):
        load_text_side(saved, text_width, width)


@pytest.mark.parametrize("name", ["text_proj.weight", "text_proj.bias", "logit_scale", "logit_bias"])
def test_a_release_has_all_parts(name):
    with pytest.raises(WeightsError, match=name):
        text_side(checkpoint(**{name: None}))


def test_models_of_another_loss_have_no_bias(saved):
    part = text_side(checkpoint())
    del part["logit_bias"]
    save_file(part, saved)
    assert load_text_side(saved, TEXT, WIDTH)[1].bias == 0


@pytest.mark.parametrize("name", ["text_proj.weight", "text_proj.bias", "logit_scale"])
def test_each_part_is_needed(name, saved):
    part = text_side(checkpoint())
    del part[name]
    save_file(part, saved)
    with pytest.raises(WeightsError, match="another network"):
        load_text_side(saved, TEXT, WIDTH)


def test_a_scale_of_several_numbers_is_refused():
    with pytest.raises(WeightsError, match="not one number"):
        text_side(checkpoint(logit_scale=torch.zeros(2)))


def test_the_language_model_comes_out_under_its_own_names():
    assert set(language_model_side(checkpoint())) == {"layers.0.weight", "norm.weight"}
    assert set(image_side(checkpoint())) == {"vit.proj.1.weight"}
    assert language_model_side({"text_proj.weight": torch.zeros(1)}) == {}
    with pytest.raises(WeightsError, match="both"):
        language_model_side(checkpoint(**{"text_other.weight": torch.zeros(1)}))
