"""Attention of one set to another: torch's own module agrees, hidden tokens do not count."""

from __future__ import annotations

import torch
from torch import nn

from medfm_core.layers.cross_attention import CrossAttention


def test_it_computes_what_torch_computes():
    torch.manual_seed(0)
    ours, theirs = CrossAttention(12, 20, 3), nn.MultiheadAttention(12, 3, kdim=20, vdim=20, batch_first=True)
    with torch.no_grad():
        theirs.q_proj_weight.copy_(ours.query.weight)
        theirs.k_proj_weight.copy_(ours.key.weight)
        theirs.v_proj_weight.copy_(ours.value.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.projection.state_dict())
    queries, memory = torch.randn(2, 4, 12), torch.randn(2, 7, 20)
    seen = torch.rand(2, 7) > 0.4
    seen[:, 0] = True
    expected, _ = theirs(queries, memory, memory, key_padding_mask=~seen)
    torch.testing.assert_close(ours(queries, memory, seen), expected)
    torch.testing.assert_close(ours(queries, memory), theirs(queries, memory, memory)[0])
