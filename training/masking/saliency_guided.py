"""Saliency-guided masking: hide most what the network leans on most.

A reconstruction. The abstract says that the model's own attention adaptively masks dominant organs; how, is not
published. The formula here is the one of Pan-FM spec, section 2.5: the share of the teacher's attention that an organ
gets decides how probably it is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from training.masking.organ_masks import MaskDraws, OrganRequest, attention_of, hide_first, hide_organs
from training.masking.provider import check_ratio


@dataclass(frozen=True)
class SaliencyGuidedMask:
    """Hide organs with a probability that grows with their share of attention.

    `p = clip(ratio * P * softmax(share / temperature), least, most)` for the `P` organs that there are; with equal
    shares, or a high temperature, this is `ratio` for each. `guidance` mixes it with `ratio`.

    Attributes:
        ratio: expected share of the organs to hide, where nothing is clipped.
        temperature: of the softmax over shares, which sum to 1; the lower, the more the dominant organ is hidden.
        per_token: compare the attention per token instead of its sum: an organ of many tokens gets a large sum without
            being looked at closely.
        unit: `organ` hides all tokens of a drawn organ; `tokens` hides, of every organ, the share `p` of its tokens,
            rounded up, the most attended first.
        least: smallest probability.
        most: largest probability.
        guidance: 0 for unguided, 1 for fully guided; the schedule sets it.

    Source: reconstruction, Pan-FM spec, section 2.5.
    """

    ratio: float
    temperature: float = 0.1
    per_token: bool = False
    unit: Literal["organ", "tokens"] = "organ"
    least: float = 0.05
    most: float = 0.95
    guidance: float = 1.0

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature} must be above 0")
        if not 0 <= self.least <= self.ratio <= self.most <= 1:
            raise ValueError(f"least {self.least}, ratio {self.ratio} and most {self.most} must ascend within [0, 1]")
        if not 0 <= self.guidance <= 1:
            raise ValueError(f"guidance {self.guidance} must lie in [0, 1]")

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool."""
        probability = self.probabilities(request)
        if self.unit == "organ":
            return hide_organs(request, draws, probability, self.ratio)
        alone = request.present.sum(dim=1, keepdim=True) < 2
        random = hide_first(draws.token, request.known, self.ratio)
        return torch.where(alone, random, self._hide_tokens(request, probability))

    def probabilities(self, request: OrganRequest) -> Tensor:
        """How probably each organ is hidden, `(B, O)`; exactly 0 for those that are missing."""
        present = request.present
        shares = self._shares(request)
        guided = (shares / self.temperature).masked_fill(~present, float("-inf")).softmax(dim=1)
        guided = self.ratio * present.sum(dim=1, keepdim=True) * guided
        mixed = (1 - self.guidance) * self.ratio + self.guidance * guided
        return mixed.clamp(self.least, self.most) * present

    def _shares(self, request: OrganRequest) -> Tensor:
        if request.shares is None:
            return organ_shares(request, self.per_token)
        shares = torch.where(request.present, request.shares, 0)
        return shares / shares.sum(dim=1, keepdim=True).clamp_min(1e-12)

    def _hide_tokens(self, request: OrganRequest, probability: Tensor) -> Tensor:
        """Hide the most attended tokens of every organ; the least attended token of all stays."""
        attention, known = attention_of(request), request.known
        same = request.organ[:, None] == request.organ[None]
        ahead = (attention[:, None] > attention[:, :, None]) | (
            (attention[:, None] == attention[:, :, None]) & _earlier(known.shape[1], known.device)
        )
        rank = (ahead & same & known[:, None]).sum(dim=2)
        hide = (probability * request.counts - 1e-6).ceil()
        hidden = (rank < request.of_tokens(hide)) & known
        last = attention.masked_fill(~known, float("inf")).argmin(dim=1, keepdim=True)
        return hidden.scatter(1, last, False)


def organ_shares(request: OrganRequest, per_token: bool = False) -> Tensor:
    """Shares of the attention that the organs of each sample get.

    Args:
        request: the tokens, with attention.
        per_token: divide the attention of each organ by its number of tokens first.

    Returns:
        `(B, O)`, rows of sum 1, exactly 0 for organs that are missing.

    Raises:
        ValueError: the request has no attention.
    """
    summed = request.by_organ(torch.where(request.known, attention_of(request).float(), 0))
    if per_token:
        summed = summed / request.counts.clamp_min(1)
    return summed / summed.sum(dim=1, keepdim=True).clamp_min(1e-12)


def share_entropy(shares: Tensor, present: Tensor) -> Tensor:
    """How evenly attention is shared: 1 for equal shares, 0 where one organ has all.

    Args:
        shares: `(B, O)`, rows of sum 1.
        present: `(B, O)` bool.

    Returns:
        `(B,)`; NaN for samples of a single organ.

    Source: Pan-FM spec, section 2.6: `-sum S log S / log P`.
    """
    count = present.sum(dim=1).float()
    entropy = -torch.special.xlogy(shares, shares).sum(dim=1)
    return torch.where(count > 1, entropy / count.clamp_min(2).log(), float("nan"))


def _earlier(count: int, device: torch.device) -> Tensor:
    """Whether the token of a column comes before that of a row, `(N, N)` bool."""
    numbers = torch.arange(count, device=device)
    return numbers[None] < numbers[:, None]
