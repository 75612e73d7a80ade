"""The plainest head: one linear layer on a normalised vector."""

from __future__ import annotations

from torch import Tensor, nn

from training.heads.pooling import mean_token


class LinearHead(nn.Module):
    """A norm and a linear layer.

    Args:
        width: channels of the features, F.
        outputs: how many numbers to give.

    Shapes:
        `(B, N, F)`, of which the mean is taken, or `(B, F)`, to `(B, outputs)`.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.answer = nn.Linear(width, outputs)
        nn.init.trunc_normal_(self.answer.weight, std=0.02)
        nn.init.zeros_(self.answer.bias)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Answer.

        Args:
            tokens: features.
            present: which tokens count, `(B, N)` bool; all by default.
        """
        return self.answer(self.norm(mean_token(tokens, present)))
