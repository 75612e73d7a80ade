"""Attention maps weighted by their gradients, from layers that never build an attention map.

The layers call torch's fused attention. While `record_attention` is open, torch hands those calls to us: forward they
run as ever, so the values stay the same bit by bit; in the backward pass each call builds its map once more, weighs it
by its gradient and lets it go. One layer's maps are held at a time, however deep the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from medfm_core.layers.peak_pooling import PeakPooling


@contextmanager
def record_attention() -> Iterator[list[Tensor]]:
    """Record every attention of this thread that runs inside the block and takes part in a backward pass.

    Nothing is hooked to modules or tensors that outlive the block.

    Yields:
        A list that the backward pass fills, the last attention first: the mean over heads of what is positive in
        attention times its gradient, `(B, N_query, N_key)` float32. It may be filled after the block, too.
    """
    found: list[Tensor] = []
    with _Recording(found):
        yield found


@contextmanager
def record_peaks(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """Record which tokens gave the peaks of peak pooling, if an encoder has one, weighted like attention.

    A peak is read as attention that one token gets all of. The hook is gone after the block.

    Args:
        encoder: any module.

    Yields:
        A list that the backward pass fills: per token what is positive in the sum of its peaks times their gradients,
        `(B, N)` float32.
    """
    found: list[Tensor] = []

    def keep(layer: PeakPooling, given: tuple[Tensor], peaks: Tensor) -> None:
        winners = layer.values(given[0]).detach().argmax(dim=1)  # (B, W)
        empty = torch.zeros(given[0].shape[:2], device=peaks.device)

        def weigh(gradient: Tensor) -> None:
            share = (gradient * peaks.detach()).float()
            found.append(empty.scatter_add(1, winners, share).clamp(min=0))

        if peaks.requires_grad:
            peaks.register_hook(weigh)

    handles = [part.register_forward_hook(keep) for part in encoder.modules() if isinstance(part, PeakPooling)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class _Recording(TorchFunctionMode):
    """Hands fused attention to `_RecordedAttention` and everything else to torch."""

    def __init__(self, found: list[Tensor]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        return function(*args, **kwargs)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **how: Any) -> Tensor:
        if any(how.values()):
            raise ValueError(f"only plain attention can be recorded, not with {how}")
        return _RecordedAttention.apply(query, key, value, attn_mask, self.found)


class _RecordedAttention(torch.autograd.Function):
    """Fused attention forward; backward the plain formula, `(B, h, N, W / h)` each."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, found: list[Tensor]
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.found = found
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *parts, mask = ctx.saved_tensors
        with torch.enable_grad():
            query, key, value = (part.detach().requires_grad_() for part in parts)
            weights = _attention_map(query, key, mask)
            seen = weights @ value
            of_weights, *of_parts = torch.autograd.grad(seen, (weights, query, key, value), gradient)
        ctx.found.append((of_weights * weights.detach()).float().clamp(min=0).mean(dim=1))
        return *of_parts, None, None


def _attention_map(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1)
