"""A running average of the weights, which generalises better than the last step's."""

from __future__ import annotations

import copy

import torch
from torch import nn


class RunningAverage:
    """Average of a module's parameters with decay `min(decay, (step + 1) / (step + 10))`; buffers are copied.

    Args:
        module: the module before it is shared among processes; the average starts as its copy.
        decay: weight of the past.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step."""
        decay = min(self._decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)
        for mine, other in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(other)
