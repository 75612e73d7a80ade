"""What a linear model reads from frozen features about when something will happen: proportional hazards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from training.evaluation.survival import concordance
from training.objectives.cox_loss import cox_loss

PENALTIES = (0.003, 0.03, 0.3)
_STEPS = 60


@dataclass(frozen=True, eq=False)
class EventRows:
    """Features with what happened when.

    Attributes:
        features: `(N, F)`.
        time: until the event or the end of what was observed, `(N, D)`; NaN where not known.
        event: whether it happened, `(N, D)`.

    Raises:
        InputError: lengths differ, or a feature is not finite.
    """

    features: np.ndarray
    time: np.ndarray
    event: np.ndarray

    def __post_init__(self) -> None:
        if self.time.shape != self.event.shape or len(self.features) != len(self.time):
            raise InputError("features, times and events differ in length", "give one of each per row")
        if not np.isfinite(self.features).all():
            raise InputError("features are not finite", "the encoder's training diverged; choose an earlier checkpoint")


@dataclass(frozen=True, eq=False)
class CoxProbe:
    """A fitted probe: log hazards are `(features - mean) / deviation @ weights`.

    Attributes:
        mean, deviation: of the training rows, `(F,)`.
        weights: `(F, D)`.
        penalties: regularisation of each event, `(D,)`.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    penalties: tuple[float, ...]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Log hazards of `(N, F)`, `(N, D)`; higher for an earlier event."""
        return (features - self.mean) / self.deviation @ self.weights


def fit_cox_probe(train: EventRows, validation: EventRows, penalties: Sequence[float] = PENALTIES) -> CoxProbe:
    """Fit one model per event; the penalty of each is the one whose order of the validation rows is best.

    Args:
        train: rows to learn from; events that nobody had get a hazard that is the same for all.
        validation: of other subjects.
        penalties: of the sum of squared weights, to choose from.
    """
    mean, deviation = train.features.mean(axis=0), train.features.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    scaled = (validation.features - mean) / deviation
    best = np.full(train.time.shape[1], -np.inf)
    weights = np.zeros((train.features.shape[1], train.time.shape[1]))
    chosen = np.full(train.time.shape[1], max(penalties))
    for penalty in sorted(penalties, reverse=True):
        fitted = _fit((train.features - mean) / deviation, train, penalty)
        risk = scaled @ fitted
        for column in range(weights.shape[1]):
            target = np.stack([validation.time[:, column], validation.event[:, column]], axis=1)
            value = concordance(target, risk[:, column]).value
            if (0.5 if value is None else value) > best[column]:  # of equals the simpler one
                best[column] = 0.5 if value is None else value
                weights[:, column], chosen[column] = fitted[:, column], penalty
    return CoxProbe(mean, deviation, weights, tuple(chosen.tolist()))


def _fit(features: np.ndarray, rows: EventRows, penalty: float) -> np.ndarray:
    given, time, event = (torch.from_numpy(np.asarray(a, np.float64)) for a in (features, rows.time, rows.event))
    weights = torch.zeros(features.shape[1], time.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        risk = given @ weights
        losses = [cox_loss(risk[:, d], time[:, d], event[:, d]) for d in range(time.shape[1])]
        loss = torch.stack(losses).sum() + penalty * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach().numpy()
