"""Objective of the organ segmenter: its net, and cross-entropy with soft Dice on a moving lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from medfm_core.models.segmenter import OrganSegmenter, SegmenterConfig
from training.engine.objective import Objective
from training.objectives.segmentation import segmentation_loss


@dataclass(frozen=True)
class OrganSegmentationConfig:
    """What the loss weighs.

    Attributes:
        background_weight: weight of the background in the cross-entropy.
    """

    background_weight: float = 0.5


class OrganSegmentation(Objective):
    """Trains an `OrganSegmenter` on labelled patches.

    Args:
        model: architecture of the net.
        config: weights of the loss.
    """

    needs = ("image", "classes")

    def __init__(self, model: SegmenterConfig, config: OrganSegmentationConfig) -> None:
        super().__init__()
        self.net = OrganSegmenter(model).to(memory_format=torch.channels_last_3d)
        weights = torch.ones(model.out_channels)
        weights[0] = config.background_weight
        self.register_buffer("class_weights", weights, persistent=False)
        self._corner = (0, 0)

    def before_step(self, step: int, steps: int) -> None:
        """Move the lattice on which the loss is read: all four places take their turn."""
        y, x = np.random.default_rng((step, 2)).integers(0, 2, 2)
        self._corner = (int(y), int(x))

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Loss of a batch with `image` `(B, C, D, H, W)` and `classes` `(B, D, H, W)` int64."""
        image = batch["image"].contiguous(memory_format=torch.channels_last_3d)
        return {"loss": segmentation_loss(self.net, image, batch["classes"], self._corner, self.class_weights)}

    def exported(self) -> nn.Module:
        """The net."""
        return self.net
