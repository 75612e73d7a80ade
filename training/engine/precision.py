"""Whether bf16 can be trusted for a net and a batch on this machine: asked, not assumed.

Some CPU convolution backends return garbage for the weight gradient in bf16 when the spatial size at a level is small;
the loss looks right while a few weights drift. One comparison with fp32 on a real batch tells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_MAX_RELATIVE_ERROR = 0.5


def gradients(net: nn.Module, loss: Callable[[], Tensor], dtype: torch.dtype, device: str = "cpu") -> list[Tensor]:
    """Gradients of a loss under autocast to a type; the net's own gradients are left cleared."""
    net.zero_grad(set_to_none=True)
    torch.manual_seed(0)  # dropout must fall alike in the passes that are compared
    with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = loss()
    value.backward()
    found = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    net.zero_grad(set_to_none=True)
    return found


def can_trust_bf16(net: nn.Module, loss: Callable[[], Tensor], device: str = "cpu") -> bool:
    """Compare the bf16 gradients with themselves and with fp32.

    Args:
        net: the net in training mode.
        loss: computes the loss of one fixed batch with the net.
        device: kind of device that the net is on.

    Returns:
        Whether two bf16 passes agree bit for bit (on a CPU) and lie within half the norm of the fp32 gradients, per
        parameter.
    """
    exact = gradients(net, loss, torch.float32, device)
    first, second = (gradients(net, loss, torch.bfloat16, device) for _ in range(2))
    if device == "cpu" and not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        return False
    scale = sum(float(g.norm() ** 2) for g in exact) ** 0.5
    return all(
        float((a - b).norm()) <= _MAX_RELATIVE_ERROR * float(b.norm()) + 1e-3 * scale
        for a, b in zip(first, exact, strict=True)
    )
