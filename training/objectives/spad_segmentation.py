"""Segmentation by a SPAD transformer with a pyramid and a U-Net on it, or by a U-Net alone, to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import adaptive_patch
from medfm_core.models.spad_inputs import as_channels
from medfm_core.models.spad_vit import SpadVitConfig
from training.engine.objective import Objective
from training.heads.pyramid_unet import PyramidUNet, PyramidUNetConfig, deep_weights
from training.heads.spad_encoder import spad_encoder, trained_encoder
from training.objectives.layer_scales import set_layer_scales
from training.objectives.supervised_loss import voxel_loss


@dataclass(frozen=True)
class SpadSegmentationConfig:
    """What is learnt, and by what.

    Attributes:
        outputs: classes, background included.
        degree: degree of anisotropy of all volumes, below 5.
        network: `spad`, or `unet`: a U-Net of the same widths that sees the image alone.
        encoder: run of `spad_mim`, or id or path of a card, from which the transformer starts; None starts from random
            weights.
        frozen_encoder: train the decoder alone.
        layer_decay: each block of the transformer learns this much slower than the next deeper one.
        blocks: whose tokens the decoder gets, the deepest last; None spreads four over the transformer.
        widths: channels of the decoder's levels.

    Source: SPAD spec, section 8.2.
    """

    outputs: int = 2
    degree: int = 2
    network: Literal["spad", "unet"] = "spad"
    encoder: str | None = None
    frozen_encoder: bool = False
    layer_decay: float = 1.0
    blocks: tuple[int, ...] | None = None
    widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512)

    def __post_init__(self) -> None:
        if self.outputs < 2:
            raise ValueError(f"outputs {self.outputs} must be at least 2")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay {self.layer_decay} must lie in (0, 1]")
        if self.blocks is not None and (len(self.blocks) != 4 or list(self.blocks) != sorted(set(self.blocks))):
            raise ValueError("blocks must be four different numbers, rising")
        if self.network == "unet" and (self.encoder is not None or self.frozen_encoder):
            raise ValueError("a U-Net has no encoder to start from")


class SpadSegmentation(Objective):
    """Cross-entropy and Dice of every voxel at several sizes, the finest counting most.

    Args:
        model_config: the transformer; of a `unet`, only its patch and channels are read.
        config: the objective.

    Raises:
        InputError: the start is of another network.
        WeightsError: its weights cannot be used.
    """

    needs = ("image", "target")

    def __init__(self, model_config: SpadVitConfig, config: SpadSegmentationConfig) -> None:
        super().__init__()
        self.config, self._patch = config, adaptive_patch(model_config.patch, config.degree)
        self._channels = model_config.channels
        self.encoder: nn.Module | None = None
        sizes = PyramidUNetConfig(model_config.patch, config.degree, model_config.channels, config.widths)
        if config.network == "unet":
            self.head: nn.Module = plain_unet(sizes, config.outputs)
            return
        self.encoder = trained_encoder(config.encoder, config.degree) if config.encoder else None
        self.encoder = self.encoder or spad_encoder(model_config, config.degree)
        if self.encoder.net.config != model_config:
            raise InputError(f"the encoder of {config.encoder} is not as large as the recipe's", "give its own size")
        depth = model_config.depth
        self.blocks = config.blocks or spread_blocks(depth)
        if min(self.blocks) < 0 or self.blocks[-1] >= depth:
            raise InputError(f"a transformer of {depth} blocks has no blocks {list(self.blocks)}", "give others")
        self.head = PyramidUNet(model_config.width, config.outputs, sizes)
        if config.frozen_encoder:
            self.encoder.requires_grad_(False).eval()
        else:
            set_layer_scales(self.encoder, config.layer_decay)

    def train(self, mode: bool = True) -> SpadSegmentation:
        """Switch the mode; a frozen encoder stays as it is used later."""
        super().train(mode)
        if self.config.frozen_encoder and self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: `image` `(B, C, D, H, W)` in [0, 1]; `target` `(B, D, H, W)`, negative or 255 where not known.
            turn: not used.

        Raises:
            InputError: the volumes are not of whole tokens.
        """
        answers = self.answer(batch)
        answers = answers if isinstance(answers, list) else [answers]
        weights = torch.ones(self.config.outputs, device=batch["image"].device)
        losses = [voxel_loss(answer, batch["target"], weights) for answer in answers]
        loss = sum(w * one for w, one in zip(deep_weights(len(losses)), losses, strict=True))
        return {"loss": loss, "finest": losses[0].detach()}

    def answer(self, batch: dict[str, Tensor]) -> Tensor | list[Tensor]:
        """Logits `(B, outputs, D, H, W)`, in training those of several sizes, the finest first."""
        image = as_channels(batch["image"], self._channels)
        if self.encoder is None:
            found = self.head(image)
            self.head.heads[:] = [image.new_zeros(1)] * len(self.head.heads)  # MONAI keeps answers, graph and all
            if found.ndim == 6:  # several sizes, put on top of each other
                found = list(found.unbind(dim=1)) if self.training else found[:, 0]
            return found
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen_encoder):
            layers = self.encoder.layers(batch, self.blocks)
        grid = tuple(side // step for side, step in zip(image.shape[2:], self._patch, strict=True))
        return self.head(layers, grid, image)

    def exported(self) -> nn.Module:
        """The transformer, or the whole U-Net."""
        return self.head if self.encoder is None else self.encoder.net

    def no_decay(self) -> set[str]:
        """The class token and the positions."""
        return {name for name, _ in self.named_parameters() if "class_token" in name or "positions." in name}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Let the transformer compute its activations again in the backward pass.

        Raises:
            NotImplementedError: there is none.
        """
        if self.encoder is None:
            raise NotImplementedError
        self.encoder.set_activation_checkpointing(on)


def spread_blocks(depth: int) -> tuple[int, ...]:
    """Four blocks of a transformer, the last among them: 3, 5, 7, 11 of 12 as published, of few blocks the last."""
    spread = tuple(depth * share // 12 - 1 for share in (4, 6, 8, 12))
    return spread if len(set(spread)) == 4 else tuple(range(depth - 4, depth))


def plain_unet(sizes: PyramidUNetConfig, classes: int) -> nn.Module:
    """A U-Net with the decoder's strides, kernels and widths, and no transformer: MONAI's DynUNet.

    Args:
        sizes: of the decoder beside which it is to stand.
        classes: background included.
    """
    from monai.networks.nets.dynunet import DynUNet

    widths = sizes.widths[:-1]  # no coarser than tokens are, so that whatever is of whole tokens fits
    levels = len(widths)
    strides = [(1, 1, 1), *(sizes.stride(level) for level in range(1, levels))]
    return DynUNet(
        spatial_dims=3, in_channels=sizes.channels, out_channels=classes, strides=strides,
        kernel_size=[sizes.kernel(level) for level in range(levels)], upsample_kernel_size=strides[1:],
        filters=list(widths), deep_supervision=True, deep_supr_num=min(2, levels - 2),
    )  # fmt: skip
