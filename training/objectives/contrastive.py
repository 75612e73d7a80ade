"""Organ-wise contrast of images and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.models.organ_text import OrganTextModel
from medfm_core.models.text_projection import INITIAL_BIAS
from medfm_core.models.totalfm import TotalFMConfig
from training.engine.objective import Objective
from training.objectives.finding_places import FindingPlaces, tokens_inside
from training.objectives.pair_relations import FITS, Organs, Sentences, relate


@dataclass(frozen=True)
class ContrastiveConfig:
    """How organs and sentences are compared.

    Attributes:
        loss: `sigmoid` asks of every pair by itself whether it fits; `infonce` asks which sentences fit an organ best,
            and which organs a sentence.
        text_tower: what made the sentence vectors, by its name in `medfm_core.models.text`.
        text_width: values of a sentence vector.
        across: weight of a pair whose sentence speaks of another organ, against one of the same organ.
        logit_bias: what the logits begin with; -10, the release's value, suits batches in which few pairs fit.
        freeze_encoder: train the projections only.
        places: weight of the auxiliary task of finding the places; 0 leaves it out. Needs `data.places`.
        findings: number of findings of the data source, for that task.

    Source: TotalFM spec, section 1.8.
    """

    loss: Literal["sigmoid", "infonce"] = "sigmoid"
    text_tower: str = "minilm"
    text_width: int = 384
    across: float = 1.0
    logit_bias: float = INITIAL_BIAS
    freeze_encoder: bool = False
    places: float = 0.0
    findings: int = 0

    def __post_init__(self) -> None:
        if self.text_width < 1 or self.across < 0:
            raise ValueError("text_width must be at least 1 and across at least 0")
        if self.places < 0 or (self.places and self.findings < 1):
            raise ValueError("places must be at least 0, and findings at least 1 where places counts")


class Contrastive(Objective):
    """Bring organs near the sentences that fit them and away from those that do not.

    Args:
        model_config: the image encoder.
        config: the objective.

    Source: TotalFM spec, sections 1.8, 3.1 and 4 (2); arXiv:2303.15343 for the sigmoid loss.
    """

    needs = ("image", "unit", "truth", "relevant", "text", "text_finding", "text_says", "text_detailed", "text_own")

    def __init__(self, model_config: TotalFMConfig, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.model = OrganTextModel(model_config, config.text_width)
        with torch.no_grad():
            self.model.logits.bias.fill_(config.logit_bias)
        self.places = FindingPlaces(model_config.width, config.findings) if config.places else None
        if config.freeze_encoder:
            self.model.image.backbone.requires_grad_(False)

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss, with the share of settled pairs of one organ that are on their right side."""
        size = batch["size"] if self.model.image.size is not None else None
        tokens = self.model.image.backbone(batch["image"])
        sentences = self.model.text(batch["text"].flatten(0, 1))
        logits = self.model.logits(self.model.image.pooled(tokens, size), sentences)
        logits = logits.unflatten(1, batch["text"].shape[:2])
        fits, same = relate(
            Organs(batch["unit"], batch["truth"], batch["relevant"]),
            Sentences(batch["text_finding"], batch["text_says"], batch["text_detailed"], batch["text_own"]),
        )
        weight = torch.where(same, 1.0, self.config.across) * (fits != 0)
        loss = self._sigmoid(logits, fits, weight) if self.config.loss == "sigmoid" else _infonce(logits, fits, weight)
        asked = same & (fits != 0)
        right = ((logits > 0) == (fits > 0)) & asked
        found = {"pair_accuracy": (right.sum() / asked.sum().clamp(min=1)).detach(), "contrast": loss.detach()}
        if self.places is None:
            return {"loss": loss, **found}
        lost = self._lost(batch, tokens)
        return {"loss": loss + self.config.places * lost, **found, "places": lost.detach()}

    def _lost(self, batch: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """The loss of the auxiliary task."""
        if "places" not in batch:
            raise InputError("objective.places needs to know where findings lie", "set data.places")
        if batch["truth"].shape[1] != self.config.findings:
            told = batch["truth"].shape[1]
            raise InputError(f"the data tells of {told} findings", f"set objective.findings to {told}")
        grid = self.model.image.config.token_grid(batch["image"].shape[2:])
        return self.places(tokens, tokens_inside(batch["places"], grid), batch["truth"], batch["relevant"])

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Embeddings of the organs, `(B, E)`."""
        return self.model.image(batch["image"], batch["size"] if self.model.image.size is not None else None)

    def exported(self) -> OrganTextModel:
        """The image encoder, the text projection and the numbers of the loss."""
        return self.model

    def no_decay(self) -> set[str]:
        """The two numbers of the loss, and the position tables."""
        tables = {name for name, _ in self.named_parameters() if ".positions." in name}
        return {"model.logits.scale", "model.logits.bias"} | tables

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """Patches of the batch."""
        rows, columns, depth = self.model.image.config.token_grid(batch["image"].shape[2:])
        return len(batch["image"]) * rows * columns * depth

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.model.image.set_activation_checkpointing(on)

    @staticmethod
    def _sigmoid(logits: Tensor, fits: Tensor, weight: Tensor) -> Tensor:
        each = functional.softplus(-fits.to(logits.dtype) * logits)
        return (each * weight).sum() / weight.sum().clamp(min=1)


def _infonce(logits: Tensor, fits: Tensor, weight: Tensor) -> Tensor:
    """Mean of both directions; all sentences that fit share the target, unsettled pairs are not among the choices."""
    flat, want, count = logits.flatten(1), (fits == FITS).flatten(1), weight.flatten(1)
    usable = (fits != 0).flatten(1) & (count > 0)
    return (_choose(flat, want, usable) + _choose(flat.T, want.T, usable.T)) / 2


def _choose(logits: Tensor, want: Tensor, usable: Tensor) -> Tensor:
    """Cross-entropy of the rows that have both something that fits and something that does not."""
    logits = logits.masked_fill(~usable, float("-inf"))
    rows = want.any(1) & (usable & ~want).any(1)
    if not rows.any():
        return logits.new_zeros(()) + 0.0 * logits.nan_to_num(neginf=0.0).sum()
    log_share = logits[rows].log_softmax(1).masked_fill(~want[rows], 0.0)
    return -(log_share.sum(1) / want[rows].sum(1)).mean()
