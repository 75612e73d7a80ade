"""Volumes to tokens by a few convolutions instead of one linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medfm_core.layers.initialisation import initialise_linear

CENTRE, SPREAD = 0.5, 0.25  # of channels that run from 0 to 1


class ConvolutionalStem(nn.Module):
    """Embed patches together with what lies around them.

    The first convolution reads small bricks that do not overlap, each further one halves the grid and looks at the
    neighbours. A linear layer over a whole patch must learn every place of a small structure in it separately;
    convolutions share what they learn between places, which small models on little data need. Nothing here is
    normalised, because norms over a patch or a volume take away its absolute intensity, and in CT that has a meaning.

    Args:
        channels: of the volume.
        widths: channels after each convolution but the last, which gives `width`.
        width: channels of a token.
        patch_size: voxels of a token along D, H, W.

    Shapes:
        `(B, channels, D, H, W)` of values from 0 to 1 to `(B, width, D / patch, H / patch, W / patch)`.

    Raises:
        ValueError: a side of the patch cannot be halved so often.

    Source: arXiv:2106.14881 for convolutions before a vision transformer.
    """

    def __init__(self, channels: int, widths: Sequence[int], width: int, patch_size: Sequence[int]) -> None:
        super().__init__()
        first, *strides = stem_strides(patch_size, len(widths) + 1)
        outs = [*widths, width]
        steps: list[nn.Module] = [nn.Conv3d(channels, outs[0], first, first)]
        for before, after, stride in zip(outs, outs[1:], strides, strict=False):
            steps += [nn.GELU(), nn.Conv3d(before, after, 3, stride, padding=1)]
        self.steps = nn.Sequential(*steps)
        initialise_linear(self)

    def forward(self, volume: Tensor) -> Tensor:
        """Return features on the grid of the patches."""
        return self.steps((volume - CENTRE) / SPREAD)


def stem_strides(patch_size: Sequence[int], steps: int) -> list[tuple[int, ...]]:
    """Strides that together make one voxel of a patch: all but the first halve the sides that are not 1 yet.

    Raises:
        ValueError: a side cannot be halved so often.
    """
    strides: list[tuple[int, ...]] = []
    sides = tuple(patch_size)
    for _ in range(steps - 1):
        if any(side % 2 and side != 1 for side in sides) or max(sides) == 1:
            raise ValueError(f"patches of {tuple(patch_size)} cannot be halved {steps - 1} times")
        strides.insert(0, tuple(min(side, 2) for side in sides))
        sides = tuple(max(side // 2, 1) for side in sides)
    return [sides, *strides]
