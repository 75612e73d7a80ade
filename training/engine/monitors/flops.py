"""Floating point operations of one training step, counted while it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

NOT_COUNTED = "not counted"


@dataclass
class FlopCount:
    """What a step computes.

    Attributes:
        flops: operations of the step on this process, a multiplication and an addition being two; None when nothing was
            counted.
        by_operator: the same by operator, largest first.
    """

    flops: int | None = None
    by_operator: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The count for a reader."""
        return NOT_COUNTED if self.flops is None else f"{self.flops / 1e9:.4g} GFLOP per step"


@contextmanager
def counting_flops(times: int = 1) -> Iterator[FlopCount]:
    """Count the matrix products, convolutions and attention of a block: forward and backward of one real step.

    The values that the block computes stay the same. Compiled modules run uncompiled inside it, since the counter sees
    single operators only. Activations that are computed a second time for the backward pass count twice: with
    activation checkpointing the figure is the work of the device, not of the model.

    Args:
        times: how often a step runs such a block, when it accumulates gradients.

    Yields:
        The count, filled in at the end of the block.
    """
    count = FlopCount()
    with _uncompiled(), FlopCounterMode(display=False, custom_mapping=_more()) as counter:
        yield count
    totals = {str(operator): number * times for operator, number in counter.get_flop_counts().get("Global", {}).items()}
    count.by_operator = dict(sorted(totals.items(), key=lambda item: -item[1]))
    count.flops = sum(totals.values()) or None


def _uncompiled() -> AbstractContextManager[Any]:
    """Compiled modules exist only where the compiler is loaded, and loading it takes seconds."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _more() -> dict[Any, Any]:
    """Operators that torch computes with but does not count, by torch version."""
    formulas = {
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
        "_scaled_dot_product_fused_attention_overrideable": _attention,
        "_grouped_mm": _grouped_product,
    }
    return {getattr(torch.ops.aten, name): f for name, f in formulas.items() if hasattr(torch.ops.aten, name)}


def _attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


def _grouped_product(left: Any, right: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Every row meets one group only: 2-D by 3-D `(T, K) x (G, K, N)`, 2-D by 2-D `(M, T) x (T, N)`, or batched."""
    rows = left[0] * left[1] if len(left) == 3 else left[0]
    return 2 * rows * left[-1] * right[-1]
