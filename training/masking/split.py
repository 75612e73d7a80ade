"""Masks of a batch to indices of the tokens that are seen and of those that are hidden."""

from __future__ import annotations

from torch import Tensor

from medfm_core.errors import InputError


def split_mask(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find the indices of seen and hidden tokens.

    Args:
        mask: `(B, N)` bool, True where hidden, with equally many per sample.

    Returns:
        Seen `(B, V)` and hidden `(B, N - V)` indices, int64, each ascending.

    Raises:
        InputError: samples hide different numbers of tokens.
    """
    counts = set(mask.sum(dim=1).tolist())
    if len(counts) > 1:
        raise InputError("the masks of a batch hide different numbers of tokens", "use one mask ratio and one grid")
    # A stable sort of False before True puts seen tokens first, both kinds in ascending order.
    order = mask.byte().argsort(dim=1, stable=True)
    seen = mask.shape[1] - counts.pop()
    return order[:, :seen], order[:, seen:]
