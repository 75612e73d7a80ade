"""Attention and attentive pooling against the plain formula, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.attentive_pooling import AttentivePooling


def plain_softmax_attention(query, key, value, heads, mask=None):
    """One head at a time, the scores written out; `mask` (N, N), True where a row may look at a column."""
    size = query.shape[-1] // heads
    outputs = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(size)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        outputs.append(scores.softmax(dim=-1) @ value[..., part])
    return torch.cat(outputs, dim=-1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_attention_equals_the_plain_formula(masked, bias):
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3, qkv_bias=bias).double()
    tokens = torch.randn(2, 5, 12, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
    query, key, value = layer.qkv(tokens).chunk(3, dim=-1)
    plain = layer.projection(plain_softmax_attention(query, key, value, 3, mask))
    fast = layer(tokens, mask=mask)
    torch.testing.assert_close(fast, plain, atol=1e-12, rtol=1e-10)
    weights = torch.randn_like(plain)
    gradients = [torch.autograd.grad((out * weights).sum(), tokens, retain_graph=True)[0] for out in (fast, plain)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-9)


def test_attention_does_not_know_the_order_of_the_tokens():
    torch.manual_seed(0)
    layer, tokens, order = MultiHeadAttention(8, 2), torch.randn(1, 6, 8), torch.randperm(6)
    torch.testing.assert_close(layer(tokens)[:, order], layer(tokens[:, order]))


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    layer, tokens = MultiHeadAttention(8, 2, dropout=0.5), torch.randn(1, 6, 8)
    assert not torch.equal(layer(tokens), layer(tokens))
    layer.eval()
    assert torch.equal(layer(tokens), layer(tokens))


def test_attentive_pooling_equals_the_plain_formula():
    torch.manual_seed(0)
    layer = AttentivePooling(12, 3).double()
    for value in layer.parameters():
        torch.nn.init.normal_(value)
    tokens = torch.randn(2, 7, 12, dtype=torch.float64)
    query = layer.query(layer.query_norm(tokens.mean(1, keepdim=True)))
    key, value = layer.key(layer.key_norm(tokens)), layer.value(layer.value_norm(tokens))
    plain = layer.projection(plain_softmax_attention(query, key, value, 3))[:, 0]
    assert layer(tokens).shape == (2, 12)
    torch.testing.assert_close(layer(tokens), plain, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(layer(tokens), layer(tokens.flip(1)), atol=1e-10, rtol=1e-10)
