"""Blocks one after the other, with activation checkpointing on demand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class BlockStack(nn.ModuleList):
    """Blocks from `(B, N, W)` to `(B, N, W)`, run in turn.

    Attributes:
        checkpointing: keep only what enters each block and compute the rest again in the backward pass, which costs
            about a third more time and saves most of the activations' memory. Values and gradients stay the same.
    """

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__(blocks)
        self.checkpointing = False

    def forward(self, tokens: Tensor, **how: Any) -> Tensor:
        """Return the tokens after the last block; `how` goes to every block."""
        again = self.checkpointing and torch.is_grad_enabled()
        for block in self:
            tokens = checkpoint(block, tokens, use_reentrant=False, **how) if again else block(tokens, **how)
        return tokens
