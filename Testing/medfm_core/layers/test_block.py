"""Blocks: the residual form, what may happen to a branch, stacks and their checkpointing."""

from __future__ import annotations

import torch
from torch import nn

from medfm_core.layers.attention import MultiHeadAttention
from medfm_core.layers.block import Block
from medfm_core.layers.block_stack import BlockStack
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.mlp import Mlp
from medfm_core.layers.residual import DropPath


def make_block(**options):
    return Block(12, MultiHeadAttention(12, 3), Mlp(12, 20), **options)


def test_a_block_adds_what_its_branches_make_of_normed_tokens():
    torch.manual_seed(0)
    block, tokens = make_block(), torch.randn(2, 5, 12)
    after = tokens + block.attention(nn.functional.layer_norm(tokens, (12,)))
    after = after + block.mlp(nn.functional.layer_norm(after, (12,)))
    torch.testing.assert_close(block(tokens), after)


def test_keywords_reach_the_attention():
    torch.manual_seed(0)
    stack, tokens = BlockStack([make_block(), make_block()]), torch.randn(1, 4, 12)
    alone = torch.eye(4, dtype=torch.bool)
    changed = tokens.clone()
    changed[:, 0, 0] += 1  # a shift of all channels would be lost in the norm
    torch.testing.assert_close(stack(tokens, mask=alone)[:, 1:], stack(changed, mask=alone)[:, 1:])
    assert not torch.allclose(stack(tokens)[:, 1:], stack(changed)[:, 1:])


def test_layer_scale_starts_near_the_identity():
    block, tokens = make_block(layer_scale=1e-6), torch.randn(2, 5, 12)
    torch.testing.assert_close(block(tokens), tokens, atol=1e-4, rtol=0)
    assert [p.shape for n, p in block.named_parameters() if "scale" in n] == [(12,), (12,)]


def test_drop_path_leaves_out_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    drop, branch = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = drop(branch)
    kept = dropped[:, 0, 0] > 0
    assert torch.equal(dropped, kept.float()[:, None, None].expand_as(branch) / 0.75)
    assert abs(kept.float().mean() - 0.75) < 0.03
    assert torch.equal(drop.eval()(branch), branch)


def test_checkpointing_changes_neither_values_nor_gradients():
    torch.manual_seed(0)
    stack, tokens = BlockStack([make_block(), make_block()]), torch.randn(2, 5, 12)

    def outcome():
        stack.zero_grad()
        stack(tokens).square().sum().backward()
        return [p.grad.clone() for p in stack.parameters()]

    plain = outcome()
    stack.checkpointing = True
    assert all(torch.equal(a, b) for a, b in zip(plain, outcome(), strict=True))


def test_a_joint_projection_starts_as_three():
    torch.manual_seed(0)
    block = make_block()
    initialise_linear(block)
    bound = (6 / (12 + 12)) ** 0.5
    assert all(0.9 * bound < part.abs().max() <= bound for part in block.attention.qkv.weight.chunk(3))
    assert not block.mlp.widen.bias.any()
