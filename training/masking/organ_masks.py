"""What every provider of organ masks takes and returns, and those that need no guidance.

They differ from the providers of `provider.py` in two ways: what is missing in the data is never hidden, so samples
hide different numbers of tokens; and the guided ones look at a network, so all draw at once for a batch, from uniform
numbers that were drawn for its samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from training.masking.provider import check_ratio


@dataclass(frozen=True)
class OrganRequest:
    """The tokens of a batch.

    Attributes:
        organ: number of the organ of each token, `(N,)` int64.
        organs: how many organs there are, `O`.
        known: which tokens there are in the data, `(B, N)` bool.
        attention: how strongly a teacher's body token looks at each token, `(B, N)`, 0 where nothing is known; for
            providers that are guided.
        shares: attention share of each organ that counts instead of the sample's own, `(O,)`; None for its own.
    """

    organ: Tensor
    organs: int
    known: Tensor
    attention: Tensor | None = None
    shares: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """Known tokens of each organ, `(B, O)`."""
        return self.by_organ(self.known.float())

    @property
    def present(self) -> Tensor:
        """Which organs there are, `(B, O)` bool."""
        return self.counts > 0

    def by_organ(self, values: Tensor) -> Tensor:
        """Add up values of tokens, `(B, N)` to `(B, O)`."""
        return values.new_zeros(len(values), self.organs).index_add(1, self.organ, values)

    def of_tokens(self, values: Tensor) -> Tensor:
        """Give each token its organ's value, `(B, O)` to `(B, N)`."""
        return values[:, self.organ]


@dataclass(frozen=True)
class MaskDraws:
    """Uniform numbers in [0, 1): of tokens `(B, N)` and of organs `(B, O)`."""

    token: Tensor
    organ: Tensor


class OrganMaskProvider(Protocol):
    """Hides known tokens of a batch; a pure function of the request and the draws.

    Every provider keeps at least one token of every sample, and one whole organ where it hides organs.
    """

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool, True where hidden; never True where nothing is known."""
        ...


class NoMask:
    """Hide nothing."""

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool."""
        return torch.zeros_like(request.known)


@dataclass(frozen=True)
class RandomTokenMask:
    """Hide tokens drawn uniformly, whatever organ they are of.

    Attributes:
        ratio: share of a sample's known tokens; at least one of two or more is hidden, and one always stays.
    """

    ratio: float

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool."""
        return hide_first(draws.token, request.known, self.ratio)


@dataclass(frozen=True)
class OrganDropMask:
    """Hide whole organs, each with the same probability.

    Attributes:
        ratio: that probability.
    """

    ratio: float

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool."""
        return hide_organs(request, draws, torch.full_like(draws.organ, self.ratio), self.ratio)


@dataclass(frozen=True)
class AttentionMask:
    """Hide the tokens that the teacher looks at most.

    Attributes:
        ratio: share of a sample's known tokens.
        hint: share of the hidden tokens that are shown nevertheless, drawn at random.

    Source: AttMask, arXiv:2203.12719, as in Pan-FM spec, section 2.5; there a hint is drawn from the most attended
        tenth, here from all that is hidden, which may be a handful.
    """

    ratio: float
    hint: float = 0.0

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if not 0 <= self.hint < 1:
            raise ValueError(f"hint {self.hint} must lie in [0, 1)")

    def __call__(self, request: OrganRequest, draws: MaskDraws) -> Tensor:
        """Draw masks, `(B, N)` bool."""
        hidden = hide_first(-attention_of(request), request.known, self.ratio)
        return hidden & (draws.token >= self.hint)


def attention_of(request: OrganRequest) -> Tensor:
    """The attention of a request.

    Raises:
        ValueError: it has none.
    """
    if request.attention is None:
        raise ValueError("a guided mask needs the teacher's attention")
    return request.attention


def hide_first(order: Tensor, known: Tensor, ratio: float) -> Tensor:
    """Hide a share of the known tokens of each sample, the lowest `order` first.

    Args:
        order: `(B, N)`.
        known: `(B, N)` bool.
        ratio: share, rounded down, but at least one of two or more tokens.

    Returns:
        `(B, N)` bool; nothing of a sample with a single token.
    """
    rank = order.masked_fill(~known, float("inf")).argsort(dim=1, stable=True).argsort(dim=1)
    count = known.sum(dim=1)
    # The small amount undoes float error: 0.29 * 100 is 28.999999999999996.
    hide = (ratio * count + 1e-6).floor().long().clamp(min=1).minimum(count - 1)
    return (rank < hide[:, None]) & known


def hide_organs(request: OrganRequest, draws: MaskDraws, probability: Tensor, ratio: float) -> Tensor:
    """Hide each organ that there is with its probability.

    The organ whose draw exceeds its probability most is kept, so that one always stays; of a sample with a single
    organ, random tokens are hidden instead.

    Args:
        request: the tokens.
        draws: uniform numbers.
        probability: of each organ, `(B, O)`.
        ratio: share of the tokens to hide where there is one organ alone.

    Returns:
        `(B, N)` bool.
    """
    present = request.present
    margin = (draws.organ - probability).masked_fill(~present, float("-inf"))
    hidden = (margin < 0) & present
    hidden = hidden.scatter(1, margin.argmax(dim=1, keepdim=True), False)
    alone = present.sum(dim=1, keepdim=True) < 2
    return torch.where(alone, hide_first(draws.token, request.known, ratio), request.of_tokens(hidden) & request.known)
