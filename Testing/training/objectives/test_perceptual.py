"""Perceptual losses: what they feel, which slices they see, and the weights that LPIPS wants."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file

from medfm_core.errors import InputError, WeightsError
from training.objectives.lpips import Lpips, load_lpips, published_names
from training.objectives.perceptual import EdgeLoss, draw_slices, make_perceptual

NARROW = ((4, 4), (6, 6), (8, 8, 8), (8, 8, 8), (8, 8, 8))


def test_edges_cost_what_they_should():
    drawn, real = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    real[..., 2:] = 1.0
    assert float(EdgeLoss(1)(drawn, real)) == pytest.approx(1 / 3)
    assert float(EdgeLoss()(real + 5, real)) == pytest.approx(0)
    blurred = torch.nn.functional.avg_pool2d(real, 3, 1, 1)
    assert EdgeLoss(1)(blurred, real) > 0


def test_edges_of_images_too_small_cost_nothing():
    drawn = torch.zeros(1, 1, 1, 1, requires_grad=True)
    EdgeLoss()(drawn, torch.ones(1, 1, 1, 1)).backward()
    assert drawn.grad.abs().sum() == 0


def test_slices_are_drawn_without_replacement_and_alike_in_both_volumes():
    volume = torch.arange(2 * 9).view(2, 1, 9, 1, 1).float()
    torch.manual_seed(1)
    one, other = draw_slices((volume, volume + 100), 4)
    assert one.shape == (8, 1, 1, 1)
    assert torch.equal(one + 100, other)
    first, second = one.flatten()[:4].tolist(), one.flatten()[4:].tolist()
    assert len(set(first)) == len(set(second)) == 4
    assert max(first) < 9 <= min(second)
    torch.manual_seed(1)
    assert torch.equal(draw_slices((volume,), 4)[0], one)
    assert draw_slices((volume,), 9)[0].flatten().tolist() == list(range(18))


def test_lpips_is_0_for_the_same_and_its_gradient_goes_to_what_is_drawn():
    torch.manual_seed(0)
    net, real = Lpips(NARROW), torch.rand(2, 3, 16, 16) * 2 - 1
    assert float(net(real, real)) == 0
    drawn = (real + 0.1 * torch.randn_like(real)).requires_grad_()
    loss = net(drawn, real)
    loss.backward()
    assert loss > 0
    assert drawn.grad.abs().sum() > 0
    torch.testing.assert_close(loss, net(real, drawn.detach()))


def test_lpips_takes_the_channels_means_out():
    """Black in [-1, 1] must reach the net as (0 - mean) / deviation."""
    seen = []
    net = Lpips(NARROW)
    net.stages[0][0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    net.features(torch.full((1, 3, 16, 16), -1.0))
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))


def test_lpips_loads_under_the_usual_names(tmp_path):
    torch.manual_seed(0)
    net = Lpips(NARROW)
    names = published_names(net)
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    leaves = {f"features.{place}.{leaf}" for place in places for leaf in ("weight", "bias")}
    assert set(names.values()) == leaves | {f"lin{stage}.model.1.weight" for stage in range(5)}
    save_file({names[name]: value for name, value in net.state_dict().items()}, tmp_path / "lpips.safetensors")
    one, other = torch.rand(2, 1, 3, 16, 16)
    torch.testing.assert_close(load_lpips(tmp_path / "lpips.safetensors", NARROW)(one, other), net(one, other))
    with pytest.raises(WeightsError, match="of another network"):
        load_lpips(tmp_path / "lpips.safetensors")


def test_vgg16_has_its_size():
    with torch.device("meta"):
        net = Lpips()
    assert sum(math.prod(p.shape) for p in net.stages.parameters()) == 14_714_688
    assert sum(math.prod(p.shape) for p in net.heads) == 1472


def test_names():
    assert make_perceptual("none", None) is None
    assert isinstance(make_perceptual("edges", None), EdgeLoss)
    for name, weights in (("lpips", None), ("edges", "file")):
        with pytest.raises(InputError, match="weights"):
            make_perceptual(name, weights)
