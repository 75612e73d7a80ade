"""SPAD-ViT: its size, grids, inputs, and what masked modelling may and may not see."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.errors import InputError
from medfm_core.models.sizes import size_config
from medfm_core.models.spad_inputs import tokenizer_input, vit_input
from medfm_core.models.spad_masked import SpadMaskedModel
from medfm_core.models.spad_names import shapes_of
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig, sizes

SMALL = SpadVitConfig(patch=4, width=24, depth=3, heads=3, mlp_width=32, position_grid=(2, 3, 3))


def count(kind, *arguments):
    return sum(math.prod(shape) for shape in shapes_of(kind, *arguments).values())


@pytest.mark.parametrize(
    ("size", "whole", "extra"), [("base", 94_930_944, 1_378_816), ("large", 315_498_432, 2_100_224)]
)
def test_the_published_sizes(size, whole, extra):
    config = size_config("spad_vit", size, SpadVitConfig)
    assert count(SpadVit, config) == whole
    assert count(SpadMaskedModel, config, 1024) - whole == extra


def test_parts_of_the_published_sizes():
    for size, patch, block in (("base", 9_437_952, 7_092_224), ("large", 12_583_936, 12_599_976)):
        shapes = shapes_of(SpadVit, size_config("spad_vit", size, SpadVitConfig))
        parts = {p: sum(math.prod(s) for n, s in shapes.items() if n.startswith(p)) for p in ("patch_", "blocks.0.")}
        assert parts == {"patch_": patch, "blocks.0.": block}
    assert size_config("spad_vit", "base", SpadVitConfig) == SpadVitConfig()
    assert set(sizes()) == {"tiny", "base", "large"}
    assert count(SpadVit, size_config("spad_vit", "tiny", SpadVitConfig)) < 6e6


@pytest.mark.parametrize("degree", range(6))
def test_tokens_of_every_degree(degree):
    torch.manual_seed(0)
    vit = SpadVit(SMALL).eval()
    volume = torch.randn(2, 3, 2 * max(4 >> degree, 1), 8, 12)
    with torch.inference_mode():
        tokens = vit(volume, degree)
        repeated = volume.repeat_interleave(2 ** min(degree, 2), 2)
        torch.testing.assert_close(tokens, vit(repeated, 0), atol=2e-5, rtol=0)
    assert tokens.shape == (2, 1 + 2 * 2 * 3, 24)


def test_where_a_token_lies_matters():
    torch.manual_seed(0)
    vit = SpadVit(SMALL).eval()
    torch.nn.init.zeros_(vit.positions.table)
    volume = torch.randn(1, 3, 1, 12, 12)
    with torch.inference_mode():
        one, other = vit(volume, 5), vit(volume.roll(4, 3), 5)
    assert (one[:, 0] - other[:, 0]).abs().max() > 1e-5


def test_checkpointing_and_autocast():
    torch.manual_seed(0)
    vit, volume, gradients = SpadVit(SMALL), torch.randn(1, 3, 4, 8, 8), []
    for on in (False, True):
        vit.set_activation_checkpointing(on)
        vit.zero_grad()
        vit(volume, 1).square().sum().backward()
        gradients.append([value.grad.clone() for value in vit.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        low = vit(volume, 1).float()
    torch.testing.assert_close(low, vit(volume, 1).detach(), atol=0.1, rtol=0)


def masked(layer):
    torch.manual_seed(0)
    model = SpadMaskedModel(SMALL, 10, layer).eval()
    order = torch.stack([torch.randperm(18, generator=torch.Generator().manual_seed(n)) for n in range(2)])
    return model, torch.randn(2, 3, 2, 12, 12), order[:, :8], order[:, 8:]


@pytest.mark.parametrize("layer", [0, 2])
def test_hidden_patches_do_not_reach_the_prediction(layer):
    model, volume, visible, hidden = masked(layer)
    with torch.inference_mode():
        before = model(volume, 2, visible, hidden)
        changed = volume.clone()
        for sample in range(2):
            for place in hidden[sample].tolist():
                slice_, row, column = place // 9, place // 3 % 3, place % 3
                changed[sample, :, slice_, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 9.0
        assert torch.equal(model(changed, 2, visible, hidden), before)
    assert before.shape == (2, 10, 10)


@pytest.mark.parametrize("layer", [0, 2])
def test_each_answer_is_for_its_place(layer):
    model, volume, visible, hidden = masked(layer)
    with torch.inference_mode():
        answers = model(volume, 2, visible, hidden)
        torch.testing.assert_close(model(volume, 2, visible.flip(1), hidden.flip(1)), answers.flip(1))
    assert (answers[:, 0] - answers[:, 1]).abs().max() > 1e-6


def test_early_blocks_see_only_what_is_visible():
    model, volume, visible, hidden = masked(2)
    lengths = []
    for block in model.encoder.blocks:
        block.register_forward_pre_hook(lambda module, given: lengths.append(given[0].shape[1]))
    model(volume, 2, visible, hidden)
    assert lengths == [9, 9, 19]


def test_masks_and_layers_that_do_not_fit_are_refused():
    model, volume, visible, hidden = masked(0)
    with pytest.raises(InputError, match="18"):
        model(volume, 2, visible[:, 1:], hidden)
    with pytest.raises(ValueError, match="mask_layer"):
        SpadMaskedModel(SMALL, 10, 3)
    with pytest.raises(InputError, match="does not divide"):
        SpadVit(SMALL)(torch.zeros(1, 3, 3, 8, 8), 1)


def test_inputs():
    grey = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 1, 3)
    assert tokenizer_input(grey)[0, 2].flatten().tolist() == [-1, 0, 1]
    torch.testing.assert_close(
        vit_input(grey)[0, :, 0, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    )
    with pytest.raises(InputError, match="neither grey nor colour"):
        vit_input(torch.zeros(1, 2, 1, 1, 1))


@pytest.mark.parametrize(
    "change", [{"patch": 12}, {"heads": 5}, {"width": 18, "heads": 3}, {"depth": 0}, {"position_grid": (0, 1, 1)}]
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=r"patch|width|depth|position_grid"):
        SpadVitConfig(**change)
