"""Optimisers: what decays, what does not, and the hyper-parameters of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from training.engine.muon import Muon, is_matrix
from training.engine.objective import Objective
from training.engine.schedules import Shape, between, warm_up


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights are moved.

    Attributes:
        name: `adamw`; `sgd` with Nesterov momentum `betas[0]`; or `muon`, which moves matrices and kernels by the
            orthogonal factor of their gradient and the rest by AdamW.
        lr: peak learning rate.
        betas: decay of AdamW's two moments.
        matrix_lr: learning rate of Muon's matrices, as a multiple of `lr`.
        weight_decay: decoupled weight decay of matrices and kernels; biases, norms and other vectors have none.
        weight_decay_end: weight decay at the end of a cosine from `weight_decay`; None keeps it constant.
        schedule: course of the learning rate after the warm-up.
        warmup_steps: length of the linear warm-up.
        final: share of the peak learning rate that is left at the end.
        grad_clip: largest norm of the whole gradient; 0 for no clipping.
    """

    name: Literal["adamw", "sgd", "muon"] = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    matrix_lr: float = 1.0
    weight_decay: float = 0.05
    weight_decay_end: float | None = None
    schedule: Shape = "cosine"
    warmup_steps: int = 40
    final: float = 0.0
    grad_clip: float = 1.0


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """Learning rate of a step: the schedule over the whole run times the warm-up."""
    course = between(config.schedule, config.lr, config.lr * config.final, step, steps)
    return course * warm_up(step, config.warmup_steps)


def weight_decay(config: OptimiserConfig, step: int, steps: int) -> float:
    """Weight decay of a step."""
    if config.weight_decay_end is None:
        return config.weight_decay
    return between("cosine", config.weight_decay, config.weight_decay_end, step, steps)


def make_optimiser(objective: Objective, turn: str, config: OptimiserConfig) -> torch.optim.Optimizer:
    """Make the optimiser of a turn, with a group that decays and one that does not.

    The groups carry `decays` and `lr_scale`, which `set_step` reads; an objective sets `lr_scale` on a parameter as an
    attribute of that name (layer-wise decay in fine-tuning).
    """
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    spared = objective.no_decay()
    for name, value in objective.turn_parameters(turn):
        decays = value.ndim > 1 and name not in spared
        matrix = config.name == "muon" and decays and is_matrix(value)
        scale = float(getattr(value, "lr_scale", 1.0)) * (config.matrix_lr if matrix else 1.0)
        groups.setdefault((decays, matrix, scale), []).append(value)
    listed = [
        {"params": values, "decays": decays, "lr_scale": scale, "weight_decay": config.weight_decay * decays}
        | ({"matrix": matrix} if config.name == "muon" else {})
        for (decays, matrix, scale), values in sorted(groups.items(), key=lambda item: item[0])
    ]
    if config.name == "sgd":
        return torch.optim.SGD(listed, lr=config.lr, momentum=config.betas[0], nesterov=True)
    if config.name == "muon":
        return Muon(listed, lr=config.lr, betas=config.betas)
    return torch.optim.AdamW(listed, lr=config.lr, betas=config.betas, fused=True)


def set_step(optimiser: torch.optim.Optimizer, config: OptimiserConfig, step: int, steps: int) -> float:
    """Give every group its hyper-parameters of a step; return the learning rate at scale 1."""
    lr, decay = learning_rate(config, step, steps), weight_decay(config, step, steps)
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]
        group["weight_decay"] = decay * group["decays"]
    return lr
