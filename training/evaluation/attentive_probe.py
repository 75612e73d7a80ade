"""What learnt queries read from frozen tokens: a small attentive head, trained on tokens that were computed once."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.engine.schedules import between, warm_up
from training.evaluation.cohort import Targets
from training.heads.building import build_head
from training.objectives.supervised_loss import classification_loss, multi_label_loss, regression_loss


@dataclass(frozen=True)
class AttentiveProbePlan:
    """How the head is trained.

    Attributes:
        epochs: passes over the training rows; with validation rows the best epoch is kept, else the last.
        least_steps: more passes where there are so few rows that the epochs would give fewer steps.
        batch_size: rows at once.
        lr: peak learning rate of AdamW, after a linear warm-up over a tenth of the steps, then a cosine to 0.
        weight_decay: of the matrices.
        depth: blocks of the head.
        seed: of the head's weights and the order of the rows.
    """

    epochs: int = 20
    least_steps: int = 100
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.05
    depth: int = 1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Tokens with what is to be read from them.

    Attributes:
        tokens: `(N, T, F)`.
        targets: of the same rows.
        subjects: of the same rows.
    """

    tokens: Tensor
    targets: Targets
    subjects: tuple[str, ...]

    def take(self, rows: np.ndarray) -> TokenRows:
        """Some of the rows."""
        subjects = tuple(self.subjects[row] for row in rows)
        return TokenRows(self.tokens[torch.from_numpy(rows)], self.targets.take(rows), subjects)


class AttentiveProbe:
    """A trained head with the scale of its target."""

    def __init__(self, head: nn.Module, task: str, mean: float, deviation: float) -> None:
        self.head, self.task, self.mean, self.deviation = head.eval(), task, mean, deviation

    @torch.no_grad()
    def predict(self, tokens: Tensor, batch_size: int = 64) -> np.ndarray:
        """Probabilities `(N, C)` or `(N, L)`, or quantities `(N,)`, of tokens `(N, T, F)`."""
        answers = torch.cat([self.head(part.float()) for part in tokens.split(batch_size)]).double()
        if self.task == "regression":
            return (answers[:, 0] * self.deviation + self.mean).numpy()
        return (answers.sigmoid() if self.task == "multi_label" else answers.softmax(dim=1)).numpy()


def fit_attentive_probe(
    train: TokenRows,
    validation: TokenRows | None = None,
    plan: AttentiveProbePlan | None = None,
    progress: Progress = SILENT,
) -> AttentiveProbe:
    """Train an attentive head on frozen tokens.

    Args:
        train: rows to learn from.
        validation: rows that decide which epoch is kept.
        plan: how.
        progress: advances by epochs.

    Raises:
        InputError: no target is known, or a token is not finite.
    """
    plan = plan or AttentiveProbePlan()
    train = train.take(np.flatnonzero(train.targets.known))
    if not len(train.subjects):
        raise InputError("no training row has a known target", "check the target column and the splits")
    if not bool(torch.isfinite(train.tokens).all()):
        raise InputError("tokens are not finite", "the encoder's training diverged; choose an earlier checkpoint")
    mean, deviation = _scale(train.targets)
    loss = _loss_of(train.targets.task, mean, deviation)
    outputs = 1 if train.targets.task == "regression" else len(train.targets.names)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        head = build_head("attentive", train.tokens.shape[2], outputs, plan.depth)
    probe = AttentiveProbe(head, train.targets.task, mean, deviation)
    _train(head, train, validation, loss, plan, progress)
    head.eval()
    return probe


def _train(head: nn.Module, train: TokenRows, validation: TokenRows | None, loss, plan, progress: Progress) -> None:
    """Move the head's weights; leave it with those of the best epoch where there are validation rows."""
    rows = len(train.subjects)
    per_epoch = -(-rows // plan.batch_size)
    epochs = max(plan.epochs, -(-plan.least_steps // per_epoch))
    decayed = [value for value in head.parameters() if value.ndim > 1]
    spared = [value for value in head.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=plan.lr)
    wanted = torch.from_numpy(train.targets.values)
    best, kept, step, steps = float("inf"), None, 0, epochs * per_epoch
    with progress.stage("Attentive probe", epochs) as stage:
        for epoch in range(epochs):
            head.train()
            order = torch.from_numpy(np.random.default_rng((plan.seed, epoch)).permutation(rows))
            for part in order.split(plan.batch_size):
                for group in optimiser.param_groups:
                    group["lr"] = between("cosine", plan.lr, 0.0, step, steps) * warm_up(step, steps // 10)
                optimiser.zero_grad()
                loss(head(train.tokens[part].float()), wanted[part]).backward()
                torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
                optimiser.step()
                step += 1
            if validation is not None and len(validation.subjects):
                judged = _validation_loss(head, validation, loss)
                if judged < best:
                    best, kept = judged, copy.deepcopy(head.state_dict())
            stage.advance()
    if kept is not None:
        head.load_state_dict(kept)


@torch.no_grad()
def _validation_loss(head: nn.Module, rows: TokenRows, loss) -> float:
    head.eval()
    answers = torch.cat([head(part.float()) for part in rows.tokens.split(64)])
    return float(loss(answers, torch.from_numpy(rows.targets.values)))


def _loss_of(task: str, mean: float, deviation: float):
    if task == "regression":
        return lambda answer, target: regression_loss(answer, target, mean, deviation)
    return classification_loss if task == "classification" else multi_label_loss


def _scale(targets: Targets) -> tuple[float, float]:
    if targets.task != "regression":
        return 0.0, 1.0
    known = targets.values[np.isfinite(targets.values)]
    return float(known.mean()), float(known.std()) or 1.0
