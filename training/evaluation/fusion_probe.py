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
        batch_size: studies at once.
        lr: peak learning rate of AdamW, after a linear warm-up over a tenth of the steps, then a cosine to 0.
        weight_decay: of the matrices.
        dropped: share of the studies of a step that lose some of their modalities.
        seed: of weights, order and what is dropped.
    """

    fusion: str = "product"
    epochs: int = 15
    batch_size: int = 16
    lr: float = 1.5e-4
    weight_decay: float = 0.01
    dropped: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.lr <= 0 or not 0 <= self.dropped <= 1:
            raise ValueError("epochs and batch_size must be at least 1, lr above 0, dropped in [0, 1]")


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


def group_scans(
    tokens: Tensor, studies: list[str], modalities: list[str], wanted: tuple[str, ...]
) -> tuple[Tensor, Tensor, list[str]]:
    """Put the scans of each study side by side.

    Args:
        tokens: of each scan, `(R, N, F)`.
        studies: of each scan.
        modalities: of each scan, such as its sequence; those that are not wanted are left out.
        wanted: the order of the modalities.

    Returns:
        Tokens `(S, M, N, F)`, 0 where missing; present `(S, M)` bool; the studies in the order of their first scan. Of
        two scans of one modality the first is taken.

    Raises:
        InputError: no scan is of a wanted modality.
    """
    used = [row for row, name in enumerate(modalities) if name in wanted]
    if not used:
        raise InputError(f"no scan is one of {', '.join(wanted)}", "name the modalities that the manifest has")
    names = list(dict.fromkeys(studies[row] for row in used))
    found = tokens.new_zeros(len(names), len(wanted), *tokens.shape[1:])
    present = torch.zeros(len(names), len(wanted), dtype=torch.bool)
    for row in used:
        place = names.index(studies[row]), wanted.index(modalities[row])
        if not present[place]:
            found[place], present[place] = tokens[row], True
    return found, present, names


class FusionProbe:
    """A trained fusion."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net.eval()

    @torch.no_grad()
    def predict(self, tokens: Tensor, present: Tensor, batch_size: int = 32) -> np.ndarray:
        """Probabilities `(S, C)` of studies; nothing is dropped and nothing is drawn."""
        parts = zip(tokens.split(batch_size), present.split(batch_size), strict=True)
        return torch.cat([self.net(part.float(), there).softmax(-1) for part, there in parts]).double().numpy()


def fit_fusion(
    train: FusionRows, validation: FusionRows | None = None, plan: FusionPlan | None = None,
    progress: Progress = SILENT,
) -> FusionProbe:  # fmt: skip
    """Train a fusion on frozen tokens.

    Args:
        train: studies to learn from.
        validation: studies that decide which epoch is kept.
        plan: how.
        progress: advances by epochs.

    Raises:
        InputError: no class is known, a study has no scan, or a token that is there is not finite.
    """
    plan = plan or FusionPlan()
    train = _known(train)
    _, modalities, _, width = train.tokens.shape
    outputs = int(train.classes.max()) + 1
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        net = build_fusion(plan.fusion, FusionShape(width, max(outputs, 2), modalities))
        _train(net, train, validation, plan, progress)
    return FusionProbe(net)


def _train(
    net: nn.Module, train: FusionRows, validation: FusionRows | None, plan: FusionPlan, progress: Progress
) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.lr, weight_decay=plan.weight_decay)
    target, rows = torch.from_numpy(train.classes), len(train.classes)
    steps, step, best, kept = plan.epochs * -(-rows // plan.batch_size), 0, float("inf"), None
    with progress.stage(f"Fusion {plan.fusion}", plan.epochs) as stage:
        for epoch in range(plan.epochs):
            net.train()
            order = torch.from_numpy(np.random.default_rng((plan.seed, epoch)).permutation(rows))
            for part in order.split(plan.batch_size):
                for group in optimiser.param_groups:
                    group["lr"] = between("cosine", plan.lr, 0.0, step, steps) * warm_up(step, steps // 10)
                draw = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
                there = drop_modalities(train.present[part], plan.dropped, draw)
                optimiser.zero_grad()
                fusion_loss(net(train.tokens[part].float(), there), target[part]).backward()
                optimiser.step()
                step += 1
            if validation is not None and (validation.classes >= 0).any():
                judged = _judged(net, validation)
                if judged < best:
                    best, kept = judged, copy.deepcopy(net.state_dict())
            stage.advance()
    if kept is not None:
        net.load_state_dict(kept)


@torch.no_grad()
def _judged(net: nn.Module, rows: FusionRows) -> float:
    net.eval()
    parts = zip(rows.tokens.split(32), rows.present.split(32), strict=True)
    answers = torch.cat([net(part.float(), there) for part, there in parts])
    return float(fusion_loss(answers, torch.from_numpy(rows.classes)))


def _known(rows: FusionRows) -> FusionRows:
    known = np.flatnonzero(rows.classes >= 0)
    if not len(known):
        raise InputError("no training study has a known class", "check the target column and the splits")
    pick = torch.from_numpy(known)
    tokens, present = rows.tokens[pick], rows.present[pick]
    if not bool(torch.isfinite(tokens[present]).all()):
        raise InputError("tokens are not finite", "the encoder's training diverged; choose an earlier checkpoint")
    return FusionRows(tokens, present, rows.classes[known])
