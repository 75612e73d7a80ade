"""Muon: matrices move by the orthogonal factor of their averaged gradient, everything else by AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from medfm_core.errors import InputError
from training.engine.checkpoint_ranks import is_sharded

SMALLEST = 16  # a matrix with a shorter side has too few directions to even out
_QUINTIC = (3.4445, -4.7750, 2.0315)  # brings singular values near 1 in few steps, not exactly to it
_ROUNDS = 5
_RMS = 0.2  # of AdamW's updates, as the second source measured, so that both can share a learning rate


def is_matrix(value: Tensor) -> bool:
    """Whether Muon moves a parameter: a matrix, or a kernel read as one, that is large enough."""
    return value.ndim > 1 and min(len(value), value[0].numel()) >= SMALLEST


class Muon(torch.optim.Optimizer):
    """Muon for groups with `matrix`, AdamW for the others.

    A gradient of a matrix is mostly made of few directions; the update gives all of them the same length, so that what
    is rarely asked for is learnt as well as what is asked for all the time. Unlike `torch.optim.Muon` it takes kernels
    of convolutions (as matrices with one row per output) and the parameters that are no matrices, in one optimiser.

    Args:
        groups: parameter groups; `matrix` (bool) says how a group is moved.
        lr: learning rate of the groups that name none.
        betas: decay of AdamW's two moments.
        momentum: decay of the averaged gradient of matrices, with Nesterov's look ahead.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the size of the updates is
    that of arXiv:2502.16982.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        momentum: float = 0.95,
    ) -> None:
        super().__init__(
            groups, {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": 0.0, "matrix": False, "eps": 1e-8}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step.

        Raises:
            InputError: a matrix is split among processes.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            values = [value for value in group["params"] if value.grad is not None]
            if group["matrix"]:
                for value in values:
                    self._turn(value, group)
            elif values:
                self._adamw(values, group)
        return loss

    def _turn(self, value: Tensor, group: dict[str, Any]) -> None:
        if is_sharded(value):
            raise InputError("muon needs whole matrices, and FSDP splits them", "use optim.name adamw, or DDP")
        average = self.state[value].setdefault("momentum_buffer", torch.zeros_like(value))
        average.lerp_(value.grad, 1 - group["momentum"])
        ahead = value.grad.lerp(average, group["momentum"]).flatten(1)
        size = _RMS * max(ahead.shape) ** 0.5
        value.mul_(1 - group["lr"] * group["weight_decay"])
        value.add_(orthogonal_factor(ahead).view(value.shape), alpha=-group["lr"] * size)

    def _adamw(self, values: list[Tensor], group: dict[str, Any]) -> None:
        for value in values:
            if not self.state[value]:
                self.state[value].update(
                    step=torch.zeros(()), exp_avg=torch.zeros_like(value), exp_avg_sq=torch.zeros_like(value)
                )
        states = [self.state[value] for value in values]
        adamw(
            values, [value.grad for value in values],
            [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states], [],
            [state["step"] for state in states],
            amsgrad=False, beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip


def orthogonal_factor(matrix: Tensor) -> Tensor:
    """About `U V^T` of a matrix `U S V^T`, `(M, N)` to the same, by a Newton-Schulz iteration.

    The singular values end between 0.7 and 1.2, which costs nothing in training and saves rounds.
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / found.norm().clamp(min=1e-7)
    for _ in range(_ROUNDS):
        gram = found @ found.T
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found.T if tall else found
