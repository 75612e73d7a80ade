"""Diseases read from a whole-body network: frozen under a linear probe, or trained on."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.models.pan_fm import PanFM
from medfm_core.models.pan_fm_organs import known_key
from training.engine.draw import DrawKey
from training.evaluation.missing_organs.baselines import Predictor, Splits, read_out
from training.evaluation.missing_organs.parts import StudyPart
from training.masking.organ_masks import OrganRequest
from training.masking.saliency_guided import organ_shares, share_entropy
from training.objectives.organ_attention import without_organs

_CHUNK = 256


@dataclass(frozen=True)
class FineTuning:
    """How a network is trained on.

    Attributes:
        steps: optimiser steps.
        batch_size: studies per step.
        lr: peak learning rate, after a warm-up of a tenth of the steps.
        organ_dropout: probability with which each organ is taken from a study in training.
        seed: of order and dropout, and of the weights of the last layer.
    """

    steps: int = 150
    batch_size: int = 64
    lr: float = 1e-3
    organ_dropout: float = 0.3
    seed: int = 0


@torch.no_grad()
def embed(model: PanFM, part: StudyPart) -> np.ndarray:
    """Vectors of studies, `(S, 2 W)`."""
    pieces = [model.encode(_slice(part.batch, start)).numpy() for start in range(0, len(part), _CHUNK)]
    return np.concatenate(pieces).astype(np.float64)


@torch.no_grad()
def attention_of(model: PanFM, part: StudyPart) -> dict[str, np.ndarray | float]:
    """Mean shares of attention by organ, by sum and per token `(O,)` each, and their mean entropies."""
    found: dict[str, list[Tensor]] = {"sum": [], "per_token": [], "entropy": [], "entropy_per_token": []}
    for start in range(0, len(part), _CHUNK):
        tokens = model.embed(_slice(part.batch, start))
        attention = model.run(tokens, readout=True).attention
        request = OrganRequest(model.organ_of_token, len(part.organs), tokens.known, attention)
        for name, entropy, per_token in (("sum", "entropy", False), ("per_token", "entropy_per_token", True)):
            shares = organ_shares(request, per_token)
            found[name].append(shares)
            found[entropy].append(share_entropy(shares, request.present))
    return {
        "sum": torch.cat(found["sum"]).mean(0).numpy(),
        "per_token": torch.cat(found["per_token"]).mean(0).numpy(),
        "entropy": float(torch.cat(found["entropy"]).nanmean()),
        "entropy_per_token": float(torch.cat(found["entropy_per_token"]).nanmean()),
    }


def frozen_probe(model: PanFM, splits: Splits, covariates: bool = False) -> Predictor:
    """Logistic regressions on the frozen network's vectors, with the covariates beside them on demand."""

    def features(part: StudyPart) -> np.ndarray:
        vectors = embed(model, part)
        return np.concatenate([vectors, part.covariates], axis=1) if covariates else vectors

    return read_out(splits, features)


def fine_tuned(model: PanFM, splits: Splits, how: FineTuning) -> Predictor:
    """Train a copy of the network and a linear layer on all diseases at once; the step that validates best counts.

    Args:
        model: where to begin; it stays as it is.
        splits: learn and choose the step here.
        how: see `FineTuning`.
    """
    backbone = copy.deepcopy(model).requires_grad_(True).train()
    head = nn.Linear(2 * model.config.width, splits.train.labels.shape[1])
    generator = torch.Generator().manual_seed(how.seed)
    with torch.no_grad():
        head.weight.normal_(0, 0.01, generator=generator)
        head.bias.copy_(_log_odds(splits.train.labels))
    network = nn.ModuleDict({"backbone": backbone, "head": head})
    optimiser = torch.optim.AdamW(network.parameters(), lr=how.lr, weight_decay=0.05)
    best, kept = float("inf"), copy.deepcopy(network.state_dict())
    every = max(1, how.steps // 6)
    for step in range(how.steps):
        share = min(1.0, 10 * (step + 1) / how.steps) * (1 - step / how.steps)
        for group in optimiser.param_groups:
            group["lr"] = how.lr * share
        loss = _loss(network, *_drawn(splits.train, how, step))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % every == 0 or step == how.steps - 1:
            with torch.no_grad():
                judged = float(_loss(network.eval(), splits.val.batch, torch.from_numpy(splits.val.labels)))
            network.train()
            if judged < best:
                best, kept = judged, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    network.eval().requires_grad_(False)
    return lambda part: head(torch.from_numpy(embed(backbone, part)).float()).sigmoid().double().numpy()


def _drawn(part: StudyPart, how: FineTuning, step: int) -> tuple[dict[str, Tensor], Tensor]:
    """A batch, with organs taken at random; every study keeps one."""
    rng = DrawKey(how.seed, step).rng("fine-tuning")
    rows = rng.integers(len(part), size=min(how.batch_size, len(part)))
    batch = {name: value[rows] for name, value in part.batch.items()}
    present = torch.stack([batch[known_key(name)].any(dim=1) for name in part.names], dim=1)
    draws = torch.from_numpy(rng.random(present.shape))
    kept = present & (draws >= how.organ_dropout)
    first = draws.masked_fill(~present, -1).argmax(dim=1, keepdim=True)
    return without_organs(batch, part.names, kept.scatter(1, first, True)), torch.from_numpy(part.labels[rows])


def _loss(network: nn.ModuleDict, batch: dict[str, Tensor], labels: Tensor) -> Tensor:
    logits, known = network["head"](network["backbone"].encode(batch)), labels >= 0
    each = functional.binary_cross_entropy_with_logits(logits, labels.clamp_min(0).float(), reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)


def _log_odds(labels: np.ndarray) -> Tensor:
    known = labels >= 0
    share = (np.where(known, labels, 0).sum(0) + 1) / (known.sum(0) + 2)
    return torch.from_numpy(np.log(share / (1 - share))).float()


def _slice(batch: dict[str, Tensor], start: int) -> dict[str, Tensor]:
    return {name: value[start : start + _CHUNK] for name, value in batch.items()}
