"""The two-layer perceptron of a transformer block."""

from __future__ import annotations

from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, exact GELU, Linear, each token by itself.

    Args:
        width: channels of a token, `W`.
        hidden: channels between the layers.
        dropout: share of values zeroed in training after either layer.

    Shapes:
        `(..., W)` to `(..., W)`.

    Source: arXiv:1706.03762, with the GELU of arXiv:1606.08415.
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the new tokens."""
        return self.dropout(self.narrow(self.dropout(self.activation(self.widen(tokens)))))
