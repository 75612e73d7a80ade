"""Weights of one convolution made to fit another: from 2D to 3D, to other channels, to another side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def inflate_kernel(weight: Tensor, depth: int, how: Literal["average", "centre"] = "average") -> Tensor:
    """Give a 2D kernel a depth, so that on slices that are all alike it does what it did.

    Args:
        weight: `(out, in, k, k)`.
        depth: planes of the new kernel.
        how: the same share in every plane, or all of it in the middle (half each where two planes are).

    Returns:
        `(out, in, depth, k, k)`.

    Source: SPAD spec, section 1.
    """
    shares = torch.full((depth,), 1 / depth)
    if how == "centre":
        shares = torch.zeros(depth)
        middle = slice((depth - 1) // 2, depth // 2 + 1)
        shares[middle] = 1 / len(shares[middle])
    return weight[:, :, None] * shares.to(weight).view(-1, 1, 1)


def adapt_input_channels(weight: Tensor, channels: int) -> Tensor:
    """Make a kernel for another number of input channels: all get the mean share of the sum over the old ones.

    Args:
        weight: `(out, in, ...)`.
        channels: of the new input; weights are returned as they are where it is `in`.

    Returns:
        `(out, channels, ...)`.

    Source: SPAD spec, section 1.
    """
    if weight.shape[1] == channels:
        return weight
    total = weight.sum(1, keepdim=True) / channels
    return total.expand(-1, channels, *[-1] * (weight.ndim - 2)).clone()


def grey_output(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Make a transposed convolution that draws colour draw its brightness.

    Args:
        weight: `(in, 3, ...)`.
        bias: `(3,)`.

    Returns:
        `(in, 1, ...)` and `(1,)`.

    Source: SPAD spec, section 1.
    """
    luma = torch.tensor(LUMA).to(weight)
    mixed = (weight * luma.view(1, 3, *[1] * (weight.ndim - 2))).sum(1, keepdim=True)
    return mixed, (bias * luma).sum()[None]


def resize_kernel(weight: Tensor, side: int) -> Tensor:
    """Resize the plane of a 2D kernel so that flat images get the same answer as before, but for the interpolation.

    Args:
        weight: `(out, in, k, k)`.
        side: of the new plane.

    Returns:
        `(out, in, side, side)`; bicubic, its sum scaled by the ratio of the areas.

    Source: SPAD spec, sections 6.2 and 11 (code bug 3: the published initialisation leaves the area out).
    """
    if weight.shape[-1] == side:
        return weight
    resized = functional.interpolate(weight, (side, side), mode="bicubic", align_corners=False)
    return resized * (weight.shape[-1] * weight.shape[-2] / side**2)
