"""The gated perceptron of a transformer block."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class GatedMlp(nn.Module):
    """`narrow(norm(silu(gate(x)) * widen(x)))`, each token by itself.

    Args:
        width: channels of a token, `W`.
        hidden: channels between the layers.
        epsilon: of the norm.

    Shapes:
        `(..., W)` to `(..., W)`.

    Source: SwiGLU (arXiv:2002.05202) with a norm inside, as EVA-02 has it (arXiv:2303.11331).
    """

    def __init__(self, width: int, hidden: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden)
        self.widen = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, eps=epsilon)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the new tokens."""
        return self.narrow(self.norm(functional.silu(self.gate(tokens)) * self.widen(tokens)))
