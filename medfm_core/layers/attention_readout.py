"""Where the first token looks: one row of an attention layer, read beside a pass that runs anyway."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.layers.attention import MultiHeadAttention, split_heads


@torch.no_grad()
def first_token_attention(attention: MultiHeadAttention, tokens: Tensor, seen: Tensor | None = None) -> Tensor:
    """Compute the weights with which the first token looks at all tokens.

    Only its query is made, so that the cost is that of the keys.

    Args:
        attention: the layer.
        tokens: what goes into the layer, `(B, N, W)`.
        seen: which tokens may be looked at, `(B, N)` bool. None: all.

    Returns:
        `(B, heads, N)` float32, rows of sum 1, exactly 0 where a token may not be looked at.
    """
    width = tokens.shape[-1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    parts = [None, None] if bias is None else [bias[:width], bias[width : 2 * width]]
    query = split_heads(functional.linear(tokens[:, :1], weight[:width], parts[0]), attention.heads)
    key = split_heads(functional.linear(tokens, weight[width : 2 * width], parts[1]), attention.heads)
    scores = (query.float() @ key.float().transpose(-2, -1))[:, :, 0] / math.sqrt(query.shape[-1])
    if seen is not None:
        scores = scores.masked_fill(~seen[:, None], float("-inf"))
    return scores.softmax(dim=-1)
