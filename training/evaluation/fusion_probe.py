"""What several scans of a study tell together: a fusion, trained on tokens that were computed once."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.engine.schedules import between, warm_up
from training.heads.fusion import FusionShape, build_fusion, drop_modalities, fusion_loss


@dataclass(frozen=True)
class FusionPlan:
    """How a fusion is trained.

    Attributes:
        fusion: of `training.heads.fusion.FUSIONS`.
        epochs: passes over the training studies; with validation studies the best one is kept, else the last.
        least_steps: more passes where there are so few studies that the epochs would give fewer steps.
        batch_size: studies at once.
        lr: peak learning rate of AdamW, after a linear warm-up over a tenth of the steps, then a cosine to 0.
        weight_decay: of the matrices.
        dropped: share of the studies of a step that lose some of their modalities.
        seed: of weights, order and what is dropped.
        device: where it is trained and used; tokens stay where they are.
    """

    fusion: str = "product"
    epochs: int = 15
    least_steps: int = 0
    batch_size: int = 16
    lr: float = 1.5e-4
    weight_decay: float = 0.01
    dropped: float = 0.2
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.lr <= 0 or not 0 <= self.dropped <= 1:
            raise InputError("a fusion cannot be trained so", "epochs must be 1 or more, lr above 0, dropped 0 to 1")


@dataclass(frozen=True, eq=False)
class FusionRows:
    """Studies with what is to be told of them.

    Attributes:
        tokens: `(S, M, N, F)`; anything where a modality is missing.
        present: which modalities a study has, `(S, M)` bool; one at least.
        classes: class numbers, `(S,)` int64; -1 for unknown.
    """

    tokens: Tensor
    present: Tensor
    classes: np.ndarray


class FusionProbe:
    """A trained fusion."""

    def __init__(self, net: nn.Module, device: str = "cpu") -> None:
        self.net, self.device = net.eval(), device

    @torch.no_grad()
    def predict(self, tokens: Tensor, present: Tensor, batch_size: int = 32) -> np.ndarray:
        """Probabilities `(S, C)` of studies; nothing is dropped and nothing is drawn."""
        return _answers(self.net, (tokens, present), self.device, batch_size).softmax(-1).double().numpy()


def fit_fusion(
    train: FusionRows, validation: FusionRows | None = None, plan: FusionPlan | None = None,
    progress: Progress = SILENT, classes: int | None = None,
) -> FusionProbe:  # fmt: skip
    """Train a fusion on frozen tokens.

    Args:
        train: studies to learn from.
        validation: studies that decide which epoch is kept.
        plan: how.
        progress: advances by epochs.
        classes: how many there are, C; by default as many as the training studies show.

    Raises:
        InputError: no class is known, a study has no scan, or a token that is there is not finite.
    """
    plan = plan or FusionPlan()
    train = _known(train)
    _, modalities, _, width = train.tokens.shape
    outputs = classes or int(train.classes.max()) + 1
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        net = build_fusion(plan.fusion, FusionShape(width, max(outputs, 2), modalities)).to(plan.device)
        _train(net, train, validation, plan, progress)
    return FusionProbe(net, plan.device)


def _train(
    net: nn.Module, train: FusionRows, validation: FusionRows | None, plan: FusionPlan, progress: Progress
) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.lr, weight_decay=plan.weight_decay)
    target, rows = torch.from_numpy(train.classes), len(train.classes)
    per_epoch = -(-rows // plan.batch_size)
    epochs = max(plan.epochs, -(-plan.least_steps // per_epoch))
    steps, step, best, kept = epochs * per_epoch, 0, float("inf"), None
    with progress.stage(f"Fusion {plan.fusion}", epochs) as stage:
        for epoch in range(epochs):
            net.train()
            order = torch.from_numpy(np.random.default_rng((plan.seed, epoch)).permutation(rows))
            for part in order.split(plan.batch_size):
                for group in optimiser.param_groups:
                    group["lr"] = between("cosine", plan.lr, 0.0, step, steps) * warm_up(step, steps // 10)
                draw = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
                there = drop_modalities(train.present[part], plan.dropped, draw)
                optimiser.zero_grad()
                answer = net(train.tokens[part].to(plan.device).float(), there.to(plan.device))
                fusion_loss(answer, target[part].to(plan.device)).backward()
                optimiser.step()
                step += 1
            if validation is not None and (validation.classes >= 0).any():
                judged = _judged(net, validation, plan.device)
                if judged < best:
                    best, kept = judged, copy.deepcopy(net.state_dict())
            stage.advance()
    if kept is not None:
        net.load_state_dict(kept)


def _judged(net: nn.Module, rows: FusionRows, device: str) -> float:
    answers = _answers(net.eval(), (rows.tokens, rows.present), device)
    return float(fusion_loss(answers, torch.from_numpy(rows.classes)))


@torch.no_grad()
def _answers(net: nn.Module, given: tuple[Tensor, Tensor], device: str, batch_size: int = 32) -> Tensor:
    """What a fusion makes of tokens and of what is there, `(S, C)` on the CPU."""
    parts = zip(*(values.split(batch_size) for values in given), strict=True)
    return torch.cat([net(part.to(device).float(), there.to(device)).cpu() for part, there in parts])


def _known(rows: FusionRows) -> FusionRows:
    known = np.flatnonzero(rows.classes >= 0)
    if not len(known):
        raise InputError("no training study has a known class", "check the target column and the splits")
    pick = torch.from_numpy(known)
    tokens, present = rows.tokens[pick], rows.present[pick]
    if not bool(torch.isfinite(tokens[present]).all()):
        raise InputError("tokens are not finite", "the encoder's training diverged; choose an earlier checkpoint")
    return FusionRows(tokens, present, rows.classes[known])
