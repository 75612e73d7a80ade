"""When the drawing side hears of the discriminator: only while that one is clearly winning."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


class AdversarialGate(nn.Module):
    """Open while both the last loss of the discriminator and its running average are at most a threshold.

    What it remembers are buffers, so that a resumed run goes on alike.

    Args:
        threshold: largest loss at which the gate is open.
        momentum: weight of the past in the running average.
        start: the loss before the first step.

    Source: SPAD spec, section 4.
    """

    def __init__(self, threshold: float = 0.025, momentum: float = 0.9, start: float = 0.1) -> None:
        super().__init__()
        self.threshold, self.momentum = threshold, momentum
        self.register_buffer("average", torch.tensor(start))
        self.register_buffer("last", torch.tensor(start))

    @property
    def is_open(self) -> bool:
        """Whether the drawing side is to hear of the discriminator."""
        return max(float(self.average), float(self.last)) <= self.threshold

    @torch.no_grad()
    def update(self, loss: Tensor) -> None:
        """Take in the discriminator's loss of a step, a scalar; over several processes, its mean."""
        loss = loss.detach().float().to(self.last.device)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            loss = loss.clone()
            dist.all_reduce(loss)
            loss = loss / dist.get_world_size()
        self.last.copy_(loss)
        self.average.lerp_(loss, 1 - self.momentum)
