"""What encoders of brains have in common: tokens, who made them, and one vector of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    from medfm_core.layers.mixture_of_experts import Routing

Pooling = Literal["mean", "first"]  # how an encoder's tokens become one vector


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of a batch.

    Attributes:
        tokens: `(B, V, width)`, after the last norm.
        routing: of each block, over `B * V` tokens; None for blocks without experts, empty for an encoder without any.
    """

    tokens: Tensor
    routing: tuple[Routing | None, ...] = ()


def pooled(tokens: Tensor, pooling: Pooling) -> Tensor:
    """One vector of each volume, `(B, N, width)` to `(B, width)`: the mean of its tokens, or the first of them."""
    return tokens[:, 0] if pooling == "first" else tokens.mean(dim=1)
