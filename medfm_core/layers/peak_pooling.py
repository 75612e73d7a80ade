"""Many tokens to one by the strongest response of each channel."""

from __future__ import annotations

from torch import Tensor, nn


class PeakPooling(nn.Module):
    """The largest value of each channel over the tokens, after a linear map.

    Beside a mean, however weighted, it shows what only one token of many holds.

    Args:
        width: channels of a token, `W`.

    Shapes:
        `(B, N, W)` to `(B, W)`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.values = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return one token per sample."""
        return self.values(tokens).amax(dim=1)
