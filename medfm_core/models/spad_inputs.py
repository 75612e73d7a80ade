"""Volumes of values in [0, 1] as the two SPAD networks want them."""

from __future__ import annotations

import torch
from torch import Tensor

from medfm_core.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_LUMA = (0.299, 0.587, 0.114)


def tokenizer_input(volume: Tensor, channels: int = 3) -> Tensor:
    """Map grey or colour in [0, 1] to the network's channels in [-1, 1].

    Args:
        volume: `(B, C, D, H, W)`, one channel or three.
        channels: of the network: 3 as published, or 1.

    Returns:
        `(B, channels, D, H, W)`.

    Raises:
        InputError: there are neither one nor three channels.

    Source: SPAD spec, section 3.
    """
    return 2 * as_channels(volume, channels) - 1


def vit_input(volume: Tensor, channels: int = 3) -> Tensor:
    """Take ImageNet's mean and deviation out of grey or colour in [0, 1]; as for `tokenizer_input`.

    A network of one channel gets those of the three taken together.

    Source: SPAD spec, section 6.3.
    """
    mean, deviation = (
        torch.tensor(values, device=volume.device, dtype=volume.dtype).view(3, 1, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
    )
    if channels == 1:
        mean, deviation = mean.mean(), deviation.mean()
    return (as_channels(volume, channels) - mean) / deviation


def as_channels(volume: Tensor, channels: int) -> Tensor:
    """Repeat grey `(B, 1, D, H, W)` to three channels or make colour grey, as the network wants; else pass it on.

    Raises:
        InputError: there are neither one nor three channels.
    """
    given = volume.shape[1]
    if given not in (1, 3) or channels not in (1, 3):
        raise InputError(f"a volume of {given} channels is neither grey nor colour", "choose one channel or three")
    if channels == 1 and given == 3:
        return (volume * volume.new_tensor(_LUMA).view(3, 1, 1, 1)).sum(dim=1, keepdim=True)
    return volume.expand(-1, channels, -1, -1, -1)
