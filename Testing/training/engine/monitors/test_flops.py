"""Operations are counted on a real step, which computes the same as without counting."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from training.engine.monitors.flops import NOT_COUNTED, counting_flops


def test_a_linear_layer_by_hand():
    net, x = nn.Linear(8, 4, bias=False), torch.randn(3, 8)
    with counting_flops() as count:
        net(x).sum().backward()
    assert count.flops == 2 * 3 * 8 * 4 * 2  # forward, and the weight's gradient; x needs none
    with counting_flops(times=5) as five:
        net(x).sum().backward()
    assert five.flops == 5 * count.flops


def test_convolutions_on_the_cpu_count():
    net, x = nn.Conv3d(2, 4, 3, padding=1, bias=False), torch.randn(1, 2, 6, 6, 6, requires_grad=True)
    with counting_flops() as count:
        net(x).sum().backward()
    assert count.flops == 3 * 2 * 6**3 * 27 * 2 * 4


def test_attention_counts_the_same_fused_and_plain():
    query = torch.randn(2, 3, 16, 8, requires_grad=True)
    with counting_flops() as fused:
        functional.scaled_dot_product_attention(query, query, query).sum().backward()
    forward = 2 * (2 * 2 * 3 * 16 * 16 * 8)
    assert forward * 3 <= fused.flops <= forward * 3.5  # the fused backward computes the scores once more


def test_grouped_products_count_every_row_once():
    from training.engine.monitors.flops import _grouped_product

    assert _grouped_product((10, 4), (3, 4, 5)) == 2 * 10 * 4 * 5
    assert _grouped_product((3, 2, 4), (3, 4, 5)) == 2 * 6 * 4 * 5


def test_counting_changes_no_bit():
    def gradients(count: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        net, x = nn.Sequential(layer, nn.Linear(16, 1)), torch.randn(2, 5, 16)
        if count:
            with counting_flops():
                net(x).square().mean().backward()
        else:
            net(x).square().mean().backward()
        return [parameter.grad for parameter in net.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(True), gradients(False), strict=True))


def test_nothing_to_count_is_said_so():
    with counting_flops() as count:
        torch.ones(3).exp().sum()
    assert count.flops is None
    assert count.text == NOT_COUNTED
