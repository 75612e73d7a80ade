"""bf16 is trusted only where its gradients repeat and lie near fp32."""

from __future__ import annotations

import torch
from torch import nn

from training.engine.precision import can_trust_bf16


class Drifting(torch.autograd.Function):
    """The identity, whose gradient is another one each time in bf16: what a broken kernel looks like."""

    @staticmethod
    def forward(ctx, x):
        ctx.broken = torch.is_autocast_enabled("cpu")
        return x

    @staticmethod
    def backward(ctx, gradient):
        return gradient + torch.randn_like(gradient) * ctx.broken


def test_a_healthy_net_is_trusted_and_a_broken_kernel_is_not():
    torch.manual_seed(0)
    net, x = nn.Linear(16, 4), torch.randn(32, 16)
    assert can_trust_bf16(net, lambda: net(x).float().square().mean())
    assert not can_trust_bf16(net, lambda: Drifting.apply(net(x).float()).square().mean())
    assert all(p.grad is None for p in net.parameters())
