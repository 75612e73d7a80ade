"""Volumes of values in [0, 1] as the two SPAD networks want them."""

from __future__ import annotations

import torch
from torch import Tensor

from medfm_core.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def tokenizer_input(volume: Tensor) -> Tensor:
    """Map grey or colour in [0, 1] to three channels in [-1, 1].

    Args:
        volume: `(B, C, D, H, W)`, one channel or three.

    Returns:
        `(B, 3, D, H, W)`.

    Raises:
        InputError: there are neither one nor three channels.

    Source: SPAD spec, section 3.
    """
    return 2 * three_channels(volume) - 1


def vit_input(volume: Tensor) -> Tensor:
    """Take ImageNet's mean and deviation out of grey or colour in [0, 1]; as for `tokenizer_input`.

    Source: SPAD spec, section 6.3.
    """
    mean, deviation = (
        torch.tensor(values, device=volume.device, dtype=volume.dtype).view(3, 1, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    return (three_channels(volume) - mean) / deviation


def three_channels(volume: Tensor) -> Tensor:
    """Repeat grey `(B, 1, D, H, W)` to three channels, and pass colour on.

    Raises:
        InputError: there are neither one nor three channels.
    """
    channels = volume.shape[1]
    if channels not in (1, 3):
        raise InputError(f"a volume of {channels} channels is neither grey nor colour", "choose one channel or three")
    return volume.expand(-1, 3, -1, -1, -1)
