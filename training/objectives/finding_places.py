"""Where findings lie: an auxiliary task that shows the tokens of an encoder what they are to look for.

A small lesion is one token among hundreds, and a contrast of whole organs says nothing of which. Where the places of
findings are known, as in virtual patients, each token is asked as well: tokens in a finding's box should hold it
somewhere, tokens outside should not. The head is thrown away after training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_RARE = -6.0  # what the head begins with: no token holds anything


class FindingPlaces(nn.Module):
    """A head that asks every token for every finding, and its loss.

    Args:
        width: channels of the tokens.
        findings: number of findings, `F`.
    """

    def __init__(self, width: int, findings: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, findings)
        nn.init.zeros_(self.ask.weight)
        nn.init.constant_(self.ask.bias, _RARE)

    def forward(self, tokens: Tensor, inside: Tensor, truth: Tensor, relevant: Tensor) -> Tensor:
        """Compute the loss: the mean over what is there plus the mean over what is not.

        Args:
            tokens: of the encoder, `(B, N, width)`.
            inside: whether a token may hold a finding that is there, `(B, F, N)` bool; see `tokens_inside`.
            truth: 1 there, -1 not, 0 unknown, `(B, F)`.
            relevant: whether the finding is looked for in the organ, `(B, F)` bool.
        """
        logits = self.ask(self.norm(tokens)).float().transpose(1, 2)
        there, absent = relevant & (truth > 0), relevant & (truth < 0)
        within = logits.masked_fill(~inside, float("-inf"))
        outside = logits.masked_fill(inside, float("-inf"))
        hit = functional.softplus(-_any(within))
        beside = torch.where(inside.all(2), 0.0, functional.softplus(_any(outside)))
        false = functional.softplus(torch.logsumexp(logits, 2))
        return _mean(hit + beside, there) + _mean(false, absent)


def tokens_inside(places: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Which tokens of a volume may hold a finding.

    Args:
        places: boxes as shares of the volume, lowest and highest along D, H, W, `(B, F, 2, 3)`; NaN for anywhere.
        grid: tokens along H, W, D, in which order they run, D fastest.

    Returns:
        `(B, F, N)` bool; at least the nearest token of every box.
    """
    counts = (grid[2], grid[0], grid[1])
    sides = []
    for axis, count in enumerate(counts):
        low, high = places[..., 0, axis, None] * count, places[..., 1, axis, None] * count
        index = torch.arange(count, device=places.device, dtype=places.dtype)
        first, last = low.floor().clamp(0, count - 1), (high.ceil() - 1).clamp(0, count - 1)
        sides.append((index >= first) & (index <= torch.maximum(first, last)) | low.isnan())
    depth, rows, columns = sides
    inside = rows[..., :, None, None] & columns[..., None, :, None] & depth[..., None, None, :]
    return inside.flatten(2)


def _any(logits: Tensor) -> Tensor:
    """Soft maximum over the tokens that are not minus infinity; very low where none is left."""
    return torch.logsumexp(logits, 2).clamp(min=-30.0)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)
