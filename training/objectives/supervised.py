"""Supervised training of an encoder with a head: classes, labels, quantities or a label map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.evaluation.encoders import pooled_features, token_features
from training.heads.building import build_head
from training.heads.encoder_shape import dense_tokens, encoder_of, encoder_width, patch_size_of
from training.heads.voxel_decoder import VoxelDecoder, VoxelDecoderConfig
from training.objectives.layer_scales import set_layer_scales
from training.objectives.supervised_loss import classification_loss, multi_label_loss, regression_loss, voxel_loss

Task = Literal["classification", "multi_label", "regression", "segmentation"]


@dataclass(frozen=True)
class SupervisedConfig:
    """What is learnt, and how.

    Attributes:
        task: `classification` (target: class number), `multi_label` (0 or 1 per label), `regression` (quantities) or
            `segmentation` (label map). What is not known is -1 or NaN, in a label map negative or 255.
        outputs: classes, labels or quantities; classes of a segmentation include the background.
        head: `linear`, `mlp` or `attentive`; not read for a segmentation, which has its decoder.
        head_depth: blocks of an attentive head.
        frozen_encoder: train the head alone.
        layer_decay: each block of the encoder learns this much slower than the next deeper one; 1 for all alike.
        head_rate: how many times faster than the last block the head learns; it starts from nothing.
        label_smoothing: share of the target that is spread over the classes.
        class_weights: weight of each class, or of each label's positives; none by default.
        target_mean: mean of a regression's training targets.
        target_deviation: their standard deviation.
        targets: keys of the batch that hold the target; those of several labels or quantities are put side by side.
        decoder_width: channels of a segmentation's decoder at the grid of tokens.
    """

    task: Task = "classification"
    outputs: int = 2
    head: Literal["linear", "mlp", "attentive"] = "linear"
    head_depth: int = 1
    frozen_encoder: bool = False
    layer_decay: float = 1.0
    head_rate: float = 1.0
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    target_mean: float = 0.0
    target_deviation: float = 1.0
    targets: tuple[str, ...] = ("target",)
    decoder_width: int = 128

    def __post_init__(self) -> None:
        if self.outputs < 1 or (self.outputs < 2 and self.task in ("classification", "segmentation")):
            raise ValueError(f"outputs {self.outputs} are too few for a {self.task}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay {self.layer_decay} must lie in (0, 1]")
        if self.head_rate <= 0:
            raise ValueError(f"head_rate {self.head_rate} must be positive")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing {self.label_smoothing} must lie in [0, 1)")
        several = self.task in ("multi_label", "regression") and len(self.targets) == self.outputs
        if len(self.targets) != 1 and not several:
            raise ValueError(f"targets {self.targets} must be one key, or one for each of {self.outputs} outputs")
        if self.target_deviation <= 0:
            raise ValueError(f"target_deviation {self.target_deviation} must be positive")
        if self.class_weights is not None:
            if self.task == "regression":
                raise ValueError("class_weights mean nothing to a regression")
            if len(self.class_weights) != self.outputs or min(self.class_weights) < 0:
                raise ValueError(f"class_weights must be {self.outputs} numbers of 0 or more")


class Supervised(Objective):
    """An encoder and a head.

    Args:
        model: the encoder, or its configuration; see `encoder_of`.
        config: the objective.

    Raises:
        InputError: the encoder's width is not known, or it has no tokens where the task needs them.
    """

    def __init__(self, model: Any, config: SupervisedConfig) -> None:
        super().__init__()
        self.config = config
        self.needs = ("image", *config.targets)
        self.encoder = encoder_of(model)
        width = encoder_width(self.encoder)
        if config.task == "segmentation":
            sizes = VoxelDecoderConfig(patch_size_of(self.encoder), config.decoder_width)
            self.head: nn.Module = VoxelDecoder(width, config.outputs, sizes)
        else:
            self.head = build_head(config.head, width, config.outputs, config.head_depth)
        weights = torch.ones(config.outputs) if config.class_weights is None else torch.tensor(config.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        for value in self.head.parameters():
            value.lr_scale = config.head_rate
        if config.frozen_encoder:
            self.encoder.requires_grad_(False).eval()
        else:
            set_layer_scales(self.encoder, config.layer_decay)

    def train(self, mode: bool = True) -> Supervised:
        """Switch the mode; a frozen encoder stays as it is used later, without dropout."""
        super().train(mode)
        if self.config.frozen_encoder:
            self.encoder.eval()
        return self

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: what the encoder reads (`image`), and the target: `(B,)`, `(B, outputs)` or `(B, D, H, W)`.
            turn: not used.

        Returns:
            `loss`, and `known`, the share of targets that are known.

        Raises:
            InputError: a class or the target's shape does not fit, or the encoder passes no gradient on.
        """
        answer, target = self.answer(batch), self.target(batch)
        self._check(answer, target)
        known = torch.isfinite(target) if self.config.task == "regression" else target >= 0
        return {"loss": self._loss(answer, target), "known": known.float().mean()}

    def target(self, batch: dict[str, Tensor]) -> Tensor:
        """The target of a batch: of one key as it is, of several `(B, keys)`."""
        found = [batch[name] for name in self.config.targets]
        return found[0] if len(found) == 1 else torch.stack(found, dim=1)

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Pass the sample on, if its target is one that there are outputs for.

        Raises:
            InputError: it is not; on a GPU such a class would be an error without a sentence.
        """
        limit = {"classification": self.config.outputs, "multi_label": 2}.get(self.config.task)
        for name in self.config.targets if limit else ():
            if name in sample and bool((torch.as_tensor(sample[name]) >= limit).any()):
                raise InputError(f"the target {name!r} holds a class beyond {limit - 1}", "check objective.outputs")
        return sample

    def answer(self, batch: dict[str, Tensor]) -> Tensor:
        """Raw answers of the head, `(B, outputs)` or `(B, outputs, D, H, W)`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen_encoder):
            features = self._features(batch)
        if torch.is_grad_enabled() and not (self.config.frozen_encoder or features.requires_grad):
            kind = type(self.encoder).__name__
            raise InputError(f"the encoder {kind} passes no gradient on", "train its head alone: frozen_encoder")
        if self.config.task != "segmentation":
            return self.head(features)
        return self.head(*dense_tokens(self.encoder, features, batch["image"].shape[2:]))

    @torch.no_grad()
    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Predict, float32: probabilities `(B, C)`, `(B, L)` or `(B, C, D, H, W)`, or quantities `(B, outputs)`."""
        was_training = self.training
        self.eval()
        try:
            answer = self.answer(batch).float()
        finally:
            self.train(was_training)
        if self.config.task == "regression":
            return answer * self.config.target_deviation + self.config.target_mean
        return answer.sigmoid() if self.config.task == "multi_label" else answer.softmax(dim=1)

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """The encoder's vector of each sample, `(B, F)` float32."""
        was_training = self.training
        self.eval()
        try:
            return pooled_features(self.encoder, batch).float()
        finally:
            self.train(was_training)

    def exported(self) -> nn.Module:
        """The encoder."""
        return self.encoder

    def no_decay(self) -> set[str]:
        """Position tables, class tokens and the head's queries."""
        marks = ("position", "class_token", "queries")
        return {name for name, _ in self.named_parameters() if any(mark in name for mark in marks)}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Let the encoder compute its activations again in the backward pass."""
        self.encoder.set_activation_checkpointing(on)

    def _features(self, batch: dict[str, Tensor]) -> Tensor:
        if self.config.task == "segmentation" or self.config.head == "attentive" or not hasattr(self.encoder, "encode"):
            return token_features(self.encoder, batch)
        return pooled_features(self.encoder, batch)

    def _loss(self, answer: Tensor, target: Tensor) -> Tensor:
        config, weights = self.config, self.class_weights
        if config.task == "classification":
            return classification_loss(answer, target, weights, config.label_smoothing)
        if config.task == "multi_label":
            return multi_label_loss(answer, target, weights, config.label_smoothing)
        if config.task == "regression":
            return regression_loss(answer, target, config.target_mean, config.target_deviation)
        return voxel_loss(answer, target, weights)

    def _check(self, answer: Tensor, target: Tensor) -> None:
        task, outputs = self.config.task, self.config.outputs
        wanted = {
            "classification": [answer.shape[:1]],
            "multi_label": [answer.shape],
            "regression": [answer.shape, *([answer.shape[:1]] if outputs == 1 else [])],
            "segmentation": [answer.shape[:1] + answer.shape[2:]],
        }[task]
        if target.shape not in wanted:
            raise InputError(
                f"targets {tuple(target.shape)} do not fit answers {tuple(answer.shape)} of a {task}",
                "check outputs, the target and the image's size",
            )
