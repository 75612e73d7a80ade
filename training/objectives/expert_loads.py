"""How busy experts were during a step, and moving their routers' balance by it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medfm_core.layers.expert_balance import BalanceRule, balanced, expert_counts
from medfm_core.layers.mixture_of_experts import Routing
from medfm_core.models.neuro_jepa import SparseBlock

_STEADY_OVER = 50  # steps


class ExpertLoads:
    """Counts of a step; the encoder's routers are moved by them once, at its end.

    Args:
        rate: how far a move goes.
        limit: how far the balance may go.
        rule: `proportional` to the load's error, or by its `sign`.

    Attributes:
        counts: tokens that chose each expert since the last move, `(blocks, E)`; None for none.
        steady: loads relative to the mean, averaged over some 50 moves, `(blocks, E)`; None before the first. A few
            scans have tokens that are much alike, so single steps are uneven however well the experts are balanced.

    Source: Neuro-JEPA spec, section 3.3; arXiv:2408.15664.
    """

    def __init__(self, rate: float, limit: float = 0.3, rule: BalanceRule = "proportional") -> None:
        self._how = (rate, limit, rule)
        self.counts: Tensor | None = None
        self.steady: Tensor | None = None
        self._moves = 0

    def forget(self) -> None:
        """Drop what was counted, such as by passes that only measure."""
        self.counts = None

    @torch.no_grad()
    def count(self, routing: Sequence[Routing | None], keep: bool) -> dict[str, Tensor]:
        """Add a pass to the loads of the step.

        Args:
            routing: of each block; None for blocks without experts.
            keep: whether the pass counts for the balance.

        Returns:
            `load_least` and `load_most`, the loads of the least and the most chosen expert relative to the mean,
            averaged over blocks, and once the balance has moved `steady_load_least` and `steady_load_most`, the
            extremes of `steady` over all blocks; empty without experts.
        """
        loads = [expert_counts(one.chosen, one.scores.shape[1]) for one in routing if one is not None]
        if not loads:
            return {}
        counts = torch.stack(loads)
        if keep:
            self.counts = counts if self.counts is None else self.counts + counts
        relative = _relative(counts)
        found = {"load_least": relative.amin(dim=1).mean(), "load_most": relative.amax(dim=1).mean()}
        if self.steady is not None:
            found |= {"steady_load_least": self.steady.amin(), "steady_load_most": self.steady.amax()}
        return found

    @torch.no_grad()
    def move(self, blocks: Sequence[nn.Module]) -> None:
        """Move the balance of every router by the loads over all processes, and begin to count anew.

        Args:
            blocks: of the encoder that was counted.
        """
        if self.counts is None:
            return
        counts = self.counts
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
        self._moves += 1
        now = _relative(counts)
        self.steady = now if self.steady is None else self.steady.lerp(now, 1 / min(self._moves, _STEADY_OVER))
        sparse = [block for block in blocks if isinstance(block, SparseBlock)]
        for block, load in zip(sparse, counts, strict=True):
            router = block.mlp.router
            router.balance.copy_(balanced(router.balance, load, *self._how))
        self.forget()


def _relative(counts: Tensor) -> Tensor:
    return counts / counts.float().mean(dim=1, keepdim=True)
