"""Adaptive convolutions: the table of strides, what slices repeated mean, and staying plain to torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medfm_core.layers.adaptive_convolution import AdaptiveConv3d, AdaptiveUpConv3d
from medfm_core.layers.anisotropy import Anisotropy

DOWN = {0: (4, 2, 2, 3), 1: (2, 2, 2, 3), 2: (1, 2, 2, 3), 3: (1, 1, 2, 3), 4: (1, 1, 1, 3), 5: (1, 1, 1, 1)}
UP = {0: (2, 2, 4), 1: (2, 2, 2), 2: (2, 2, 1), 3: (2, 1, 1), 4: (1, 1, 1), 5: (1, 1, 1)}
degrees = pytest.mark.parametrize("degree", range(6))


@degrees
def test_the_table_of_the_way_down(degree):
    state, found = Anisotropy(degree), []
    for side in (4, 2, 2):
        layer = AdaptiveConv3d(1, 1, side, side)
        weight, stride, padding = layer.adapted(state)
        assert weight.shape[2:] == stride  # neighbouring windows never overlap
        assert padding == (0, 0, 0)
        found.append(stride[0])
        state = state.halved(side.bit_length() - 1)
    weight, stride, padding = AdaptiveConv3d(1, 1, 3).adapted(state)
    assert (*found, weight.shape[2]) == DOWN[degree]
    assert stride == (1, 1, 1)
    assert padding == (weight.shape[2] // 2, 1, 1)


@degrees
def test_the_table_of_the_way_up(degree):
    volume, state, grown, sides = torch.zeros(1, 1, 1, 1, 1), Anisotropy(degree, 4), [], []
    for stride in (2, 2, 4):
        before = volume.shape[2]
        volume, state = AdaptiveUpConv3d(1, 1, stride)(volume, state)
        grown.append(volume.shape[2] // before)
        sides.append(AdaptiveConv3d(1, 1, 3).adapted(state)[0].shape[2])
    assert tuple(grown) == UP[degree]
    assert sides[:2] == [3 if degree <= 3 else 1, 3 if degree <= 2 else 1]
    assert state == Anisotropy(degree, 0)
    assert volume.shape[3:] == (16, 16)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.integers(0, 3), st.sampled_from([1, 2, 4, 8]), st.integers(0, 99))
def test_it_does_what_the_full_kernel_does_on_repeated_slices(degree, halvings, stride, seed):
    generator = torch.Generator().manual_seed(seed)
    layer, state = AdaptiveConv3d(2, 3, stride, stride).double(), Anisotropy(degree, halvings)
    times = 2 ** min(state.pending, stride.bit_length() - 1)
    volume = torch.randn(1, 2, 8 // times, 8, 8, generator=generator, dtype=torch.float64)
    ours, after = layer(volume, state)
    whole = functional.conv3d(volume.repeat_interleave(times, 2), layer.weight, layer.bias, stride)
    torch.testing.assert_close(ours, whole)
    assert after == Anisotropy(degree, halvings + stride.bit_length() - 1)


def test_a_plane_kernel_is_one_on_endless_repetition():
    layer, volume = AdaptiveConv3d(1, 2, 3), torch.randn(1, 1, 1, 6, 6)
    ours, _ = layer(volume, Anisotropy(5, 4))
    endless = functional.conv3d(volume.repeat_interleave(3, 2), layer.weight, layer.bias, padding=(0, 1, 1))
    torch.testing.assert_close(ours, endless)


@pytest.mark.parametrize(("degree", "halvings"), [(0, 4), (3, 4), (4, 4), (1, 2), (3, 2)])
def test_the_mean_on_the_way_up_is_the_full_output_averaged(degree, halvings):
    layer, state = AdaptiveUpConv3d(2, 3, 4), Anisotropy(degree, halvings)
    volume = torch.randn(1, 2, 2, 3, 3)
    ours, _ = layer(volume, state)
    full = functional.conv_transpose3d(volume, layer.weight, layer.bias, 4)
    times = full.shape[2] // ours.shape[2]
    assert times == 4 // min(2**state.owed, 4)
    torch.testing.assert_close(ours, functional.avg_pool3d(full, (times, 1, 1)))


def test_the_sum_on_the_way_up_grows_with_the_degree():
    """The published form: what the bias does not make is summed, not averaged."""
    mean = AdaptiveUpConv3d(2, 3, 4)
    added = AdaptiveUpConv3d(2, 3, 4, "sum")
    added.load_state_dict(mean.state_dict())
    volume, state, bias = torch.randn(1, 2, 2, 3, 3), Anisotropy(4, 4), mean.bias.view(1, 3, 1, 1, 1)
    torch.testing.assert_close(added(volume, state)[0] - bias, 4 * (mean(volume, state)[0] - bias))


@degrees
def test_the_fixed_form_is_a_plain_convolution(degree):
    layer, volume = AdaptiveConv3d(2, 4, 16, 16), torch.randn(1, 2, 32 >> degree, 16, 32)
    plain = layer.fixed(Anisotropy(degree))
    assert type(plain) is torch.nn.Conv3d
    torch.testing.assert_close(plain(volume), layer(volume, Anisotropy(degree))[0])


def test_compiling_and_checkpointing_change_nothing():
    layer, volume = AdaptiveConv3d(1, 2, 4, 4), torch.randn(1, 1, 4, 8, 8)
    plain, state = layer(volume, Anisotropy(1))
    compiled, after = torch.compile(layer, backend="eager", fullgraph=True)(volume, Anisotropy(1))
    assert after == state == Anisotropy(1, 2)
    assert torch.equal(compiled, plain)
    again, _ = checkpoint(layer, volume, Anisotropy(1), use_reentrant=False)
    again.square().sum().backward()
    gradient = layer.weight.grad.clone()
    layer.zero_grad()
    plain.square().sum().backward()
    assert torch.equal(layer.weight.grad, gradient)


@pytest.mark.parametrize("layer", [lambda: AdaptiveConv3d(1, 1, 3, 4), lambda: AdaptiveConv3d(1, 1, 5),
                                   lambda: AdaptiveConv3d(1, 1, 3, 3), lambda: AdaptiveUpConv3d(1, 1, 3)])  # fmt: skip
def test_what_the_rule_does_not_cover_is_refused(layer):
    with pytest.raises(ValueError, match=r"kernel|stride"):
        layer()
