"""What every mask provider takes and returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from medfm_core.errors import InputError


@dataclass(frozen=True)
class MaskRequest:
    """The tokens of one sample.

    Attributes:
        grid: tokens along three axes, in the order in which they run; the last axis is the fastest.
        evidence: what is known of each token, `(N,)` each, for providers that look at it: for example `foreground`,
            `saliency`, `organ` or `present`.
    """

    grid: tuple[int, int, int]
    evidence: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Number of tokens, `N`."""
        return math.prod(self.grid)


class MaskProvider(Protocol):
    """Draws a mask; a pure function of the request and of the generator's state.

    Every mask for a grid hides the same number of tokens, so that masks of a batch can be stacked and gathered.
    """

    def __call__(self, request: MaskRequest, rng: np.random.Generator) -> Tensor:
        """Draw one mask.

        Args:
            request: the tokens.
            rng: where randomness comes from.

        Returns:
            `(N,)` bool, True where the token is hidden.

        Raises:
            InputError: the grid is too small, or evidence is missing.
        """
        ...


def hidden_count(units: int, ratio: float) -> int:
    """How many of `units` to hide: `ratio * units` rounded down, but at least one, and one always stays.

    Raises:
        InputError: there is only one unit.
    """
    if units < 2:
        raise InputError(f"nothing can be hidden and seen at once in a grid of {units}", "use smaller patches")
    # The small amount undoes float error: 0.29 * 100 is 28.999999999999996.
    return min(max(math.floor(ratio * units + 1e-6), 1), units - 1)


def check_ratio(ratio: float) -> None:
    """Refuse a share that is not one.

    Raises:
        ValueError: it does not lie between 0 and 1.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"mask ratio {ratio} must lie between 0 and 1")
