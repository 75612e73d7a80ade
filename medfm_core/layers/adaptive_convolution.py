"""Convolutions that adapt to voxel spacing: one weight for thick slices, cubic voxels and 2D images."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.anisotropy import Anisotropy

Reduction = Literal["mean", "sum"]


class AdaptiveConv3d(nn.Conv3d):
    """A convolution whose kernel and stride along the depth shrink until slices are as thin as the grid of the plane.

    While halvings are pending, neighbouring planes of the kernel are summed, which is what the nominal kernel would do
    on slices repeated as often; the depth is strided only by what is left of the stride.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        kernel: side of the nominal kernel: that of the stride (no padding), or 3 (padded by 1).
        stride: nominal stride of all axes, a power of two; with `kernel` 3, at most 2.

    Shapes:
        `(B, channels_in, D, H, W)` to `(B, channels_out, D', H', W')`.

    Raises:
        ValueError: the rule does not cover this kernel and stride.

    Source: SPAD spec, section 1; the sum is the published one.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        if stride < 1 or stride & (stride - 1):
            raise ValueError(f"stride {stride} must be a power of two")
        if kernel != stride and not (kernel == 3 and stride <= 2):
            raise ValueError(f"a kernel of {kernel} must have a stride of {kernel}, or be 3 with a stride of 1 or 2")
        super().__init__(channels_in, channels_out, kernel, stride, padding=0 if kernel == stride else 1)

    def forward(self, volume: Tensor, state: Anisotropy) -> tuple[Tensor, Anisotropy]:
        """Return the output and the state that goes with it."""
        weight, stride, padding = self.adapted(state)
        after = state.halved(self.stride[1].bit_length() - 1)
        return functional.conv3d(volume, weight, self.bias, stride, padding), after

    def adapted(self, state: Anisotropy) -> tuple[Tensor, tuple[int, int, int], tuple[int, int, int]]:
        """Kernel `(out, in, k_D, k, k)`, stride and padding along D, H, W for a state."""
        if state.pending == 0:
            return self.weight, self.stride, self.padding
        depth = max(self.stride[0] >> state.pending, 1)
        return grouped_planes(self.weight, depth).sum(3), (depth, *self.stride[1:]), (0, *self.padding[1:])

    def fixed(self, state: Anisotropy) -> nn.Conv3d:
        """A plain convolution that does the same for one state; its weights are a copy.

        Source: SPAD spec, section 2, form for one degree downstream.
        """
        weight, stride, padding = self.adapted(state)
        plain = nn.Conv3d(self.in_channels, self.out_channels, weight.shape[2:], stride, padding)
        plain.weight = nn.Parameter(weight.detach().clone())
        plain.bias = nn.Parameter(self.bias.detach().clone())
        return plain


class AdaptiveUpConv3d(nn.ConvTranspose3d):
    """The way back: a transposed convolution that doubles the depth only as often as it was halved.

    Where the depth grows less than the plane, neighbouring planes of the kernel become one. Their mean keeps the scale
    of the output, as average pooling of the full output would; the published networks take the sum, whose scale depends
    on the degree, and networks trained with it need it.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: nominal growth of all axes and side of the kernel, a power of two.
        reduction: what planes become one by.

    Shapes:
        `(B, channels_in, D, H, W)` to `(B, channels_out, D', H * stride, W * stride)`.

    Raises:
        ValueError: the stride is not a power of two.

    Source: SPAD spec, section 1; the mean is ours.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, reduction: Reduction = "mean") -> None:
        if stride < 1 or stride & (stride - 1):
            raise ValueError(f"stride {stride} must be a power of two")
        super().__init__(channels_in, channels_out, stride, stride)
        self.reduction = reduction

    def forward(self, volume: Tensor, state: Anisotropy) -> tuple[Tensor, Anisotropy]:
        """Return the output and the state that goes with it."""
        side = self.stride[1]
        depth = min(2**state.owed, side)
        weight = self.weight
        if depth < side:
            groups = grouped_planes(weight, depth)
            weight = groups.mean(3) if self.reduction == "mean" else groups.sum(3)
        after = state.doubled(side.bit_length() - 1)
        return functional.conv_transpose3d(volume, weight, self.bias, (depth, side, side)), after


class AdaptiveStep(nn.Module):
    """An adaptive convolution with what follows it: a norm and an activation, which look at no neighbours' spacing.

    Args:
        convolution: takes and gives `(volume, state)`.
        norm: module of `(B, C, D, H, W)`.
        activation: module of any shape.
    """

    def __init__(self, convolution: nn.Module, norm: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm
        self.activation = activation

    def forward(self, volume: Tensor, state: Anisotropy) -> tuple[Tensor, Anisotropy]:
        """Return the output and the state that goes with it."""
        volume, state = self.convolution(volume, state)
        return self.activation(self.norm(volume)), state


def grouped_planes(weight: Tensor, planes: int) -> Tensor:
    """Split the depth of a kernel `(a, b, k_D, k, k)` into `(a, b, planes, k_D / planes, k, k)`."""
    return weight.unflatten(2, (planes, -1))
