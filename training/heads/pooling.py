"""The mean of the tokens that are there."""

from __future__ import annotations

from torch import Tensor

from medfm_core.errors import InputError


def mean_token(tokens: Tensor, present: Tensor | None = None) -> Tensor:
    """Take the mean of tokens.

    Args:
        tokens: `(B, N, F)`, or `(B, F)`, which is returned as it is.
        present: which tokens count, `(B, N)` bool; all by default.

    Returns:
        `(B, F)`.

    Raises:
        InputError: a sample has no token that counts.
    """
    if tokens.ndim == 2:
        return tokens
    if present is None:
        return tokens.mean(dim=1)
    check_present(present)
    weights = present.to(tokens.dtype)[:, :, None]
    return (tokens.masked_fill(~present[:, :, None], 0) * weights).sum(dim=1) / weights.sum(dim=1)


def check_present(present: Tensor) -> None:
    """Refuse samples without tokens, `(B, N)` bool.

    Raises:
        InputError: there is one.
    """
    empty = int((~present.any(dim=1)).sum())
    if empty:
        raise InputError(f"{empty} of {len(present)} samples have no token", "leave samples without any image out")
