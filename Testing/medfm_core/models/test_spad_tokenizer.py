"""SPAD-VT: recorded outputs at every degree of anisotropy, its size, and slices that are repeated."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from parity_families.spad import compare, load
from safetensors.torch import load_file

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import Anisotropy
from medfm_core.models.sizes import size_config
from medfm_core.models.spad_names import shapes_of
from medfm_core.models.spad_tokenizer import Decoder, Encoder, SpadTokenizer, SpadTokenizerConfig, sizes

FIXTURE = Path(__file__).parents[2] / "data" / "parity" / "spad_tiny"
WEIGHTS = Path(f"{FIXTURE}_weights.safetensors")


@pytest.fixture(scope="module")
def fixture_config():
    return json.loads(Path(f"{FIXTURE}_config.json").read_text())


@pytest.fixture(scope="module")
def tokenizer(fixture_config):
    return load(fixture_config, WEIGHTS)[0]


def count(kind, *arguments):
    return sum(math.prod(shape) for shape in shapes_of(kind, *arguments).values())


def test_everything_recorded_comes_out(fixture_config):
    compared = compare(fixture_config, WEIGHTS, load_file(f"{FIXTURE}_io.safetensors"))
    assert len(compared) == 36
    assert [one.name for one in compared if not one.holds] == []
    assert max(one.error for one in compared) <= 2e-5


def test_the_published_size():
    config = size_config("spad_tokenizer", "released", SpadTokenizerConfig)
    assert count(SpadTokenizer, config) == 34_253_955
    assert count(Encoder, config) == 15_496_832
    assert count(Decoder, config) == 17_707_523
    assert (config.stride, config.tokens) == (16, 1024)
    assert size_config("spad_tokenizer", "base", SpadTokenizerConfig) == SpadTokenizerConfig()
    assert count(SpadTokenizer, size_config("spad_tokenizer", "tiny", SpadTokenizerConfig)) < 2.5e6
    assert set(sizes()) == {"tiny", "base", "released"}


@torch.inference_mode()
@pytest.mark.parametrize("degree", range(1, 5))
def test_the_encoder_sees_thick_slices_as_thin_ones_repeated(tokenizer, degree):
    volume = torch.randn(1, 3, 32 >> degree, 16, 32, generator=torch.Generator().manual_seed(degree))
    repeated = volume.repeat_interleave(2**degree, dim=2)
    torch.testing.assert_close(tokenizer.encode(volume, degree), tokenizer.encode(repeated, 0), atol=2e-5, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("degree", range(6))
def test_shapes(tokenizer, degree):
    volume = torch.zeros(1, 3, 2 * max(16 >> degree, 1), 16, 32)
    drawn = tokenizer(volume, degree)
    assert drawn.volume.shape == volume.shape
    assert drawn.tokens.logits.shape == (1, 2, 1, 2, 64)
    assert drawn.tokens.embedded.shape == tokenizer.encode(volume, degree).shape == (1, 32, 2, 1, 2)
    torch.testing.assert_close(drawn.tokens.probabilities.sum(-1), torch.ones(1, 2, 1, 2))
    assert torch.equal(tokenizer.logits(volume, degree), drawn.tokens.logits)


@torch.inference_mode()
def test_slices_of_degree_5_do_not_see_each_other(tokenizer):
    """Up to the group norms, which look at the whole volume; and beyond 5 nothing changes."""
    volume = torch.randn(1, 3, 3, 16, 32)

    def before_norms(part):
        state = Anisotropy(5)
        for step in tokenizer.encoder.steps[:3]:
            part, state = step(part, state)
        return tokenizer.encoder.steps[3].convolution(part, state)[0]

    alone = [before_norms(volume[:, :, number : number + 1]) for number in range(3)]
    torch.testing.assert_close(before_norms(volume), torch.cat(alone, dim=2))
    assert torch.equal(tokenizer(volume, 5).volume, tokenizer(volume, 26).volume)


def test_sides_that_are_no_multiple_of_a_token_are_refused(tokenizer):
    with pytest.raises(InputError, match="does not divide"):
        tokenizer.encode(torch.zeros(1, 3, 6, 16, 16), 2)


@pytest.mark.parametrize("change", [{"widths": (8, 12)}, {"first_stride": 3}, {"tokens": 0}, {"widths": ()}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"widths|first_stride|tokens"):
        SpadTokenizerConfig(**change)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    net = SpadTokenizer(SpadTokenizerConfig(widths=(8, 16), first_stride=2, tokens=8))
    net(torch.randn(1, 3, 4, 8, 8), 0).volume.square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in net.parameters())
