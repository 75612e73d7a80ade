"""Choosing tokens by index, sample by sample."""

from __future__ import annotations

from torch import Tensor


def gather_tokens(tokens: Tensor, indices: Tensor) -> Tensor:
    """Pick tokens of each sample.

    Args:
        tokens: `(B, N, W)`.
        indices: which to pick, `(B, V)`, int64 in `[0, N)`.

    Returns:
        `(B, V, W)`, in the order of the indices.
    """
    return tokens.gather(1, indices[..., None].expand(-1, -1, tokens.shape[-1]))
