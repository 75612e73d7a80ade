"""Merlin's image encoder: a residual network of 152 layers, inflated from pictures to volumes, one vector per scan.

`merlin_weights.py` loads the release.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ARCHITECTURE = "merlin"
_EXPANSION = 4  # channels of a block's end over those of its middle


@dataclass(frozen=True)
class MerlinConfig:
    """Architecture as data; the defaults are the released size.

    Attributes:
        blocks: of each of the four stages.
        width: channels of the stem; stage k works with `width * 2 ** k` in the middle of its blocks.
        embedding_width: channels of the embedding.
    """

    blocks: tuple[int, int, int, int] = (3, 8, 36, 3)
    width: int = 64
    embedding_width: int = 512

    def __post_init__(self) -> None:
        if min(*self.blocks, self.width, self.embedding_width) < 1:
            raise ValueError("blocks, width and embedding_width must be at least 1")

    def peak_bytes(self, size: tuple[int, int, int]) -> float:
        """About how much memory one scan takes within the network, where it is widest: around the stem.

        Args:
            size: voxels along D, H, W.
        """
        wide = self.width * math.prod(size) / 4  # the stem halves H and W
        return 4 * (2.5 * wide + 6 * math.prod(size))


class Bottleneck(nn.Module):
    """A residual block: channels are narrowed, neighbours looked at, channels widened again.

    Args:
        channels: that come in.
        width: in the middle; four times as many go out.
        stride: of the look at the neighbours, along all three axes.

    Shapes:
        `(B, channels, D, H, W)` to `(B, 4 * width, D / stride, H / stride, W / stride)`, rounded up.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = _EXPANSION * width
        self.narrow = nn.Conv3d(channels, width, 1, bias=False)
        self.narrow_norm = nn.BatchNorm3d(width)
        self.look = nn.Conv3d(width, width, 3, stride=stride, padding=1, bias=False)
        self.look_norm = nn.BatchNorm3d(width)
        self.widen = nn.Conv3d(width, out, 1, bias=False)
        self.widen_norm = nn.BatchNorm3d(out)
        self.shortcut = None
        if stride != 1 or channels != out:
            shortcut = nn.Conv3d(channels, out, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(shortcut, nn.BatchNorm3d(out))

    def forward(self, volume: Tensor) -> Tensor:
        """Apply the block."""
        kept = volume if self.shortcut is None else self.shortcut(volume)
        volume = functional.relu(self.narrow_norm(self.narrow(volume)), inplace=True)
        volume = functional.relu(self.look_norm(self.look(volume)), inplace=True)
        return functional.relu(self.widen_norm(self.widen(volume)).add_(kept), inplace=True)


class ScanEncoder(nn.Module):
    """Embedding of a whole scan.

    Args:
        config: the architecture.

    Shapes:
        `(B, 1, D, H, W)` to `(B, embedding_width)` float32 of length 1. In the release D runs along slices towards
        Superior, H towards Right and W towards Anterior, on 160 x 224 x 224 voxels of 3 x 1.5 x 1.5 mm in [0, 1].

    Source: the package merlin-vlm 0.0.6 (MIT), for the layers and their order; arXiv:2406.06512.
    """

    def __init__(self, config: MerlinConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv3d(3, config.width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.stem_norm = nn.BatchNorm3d(config.width)
        channels = config.width
        for number, blocks in enumerate(config.blocks):
            width = config.width * 2**number
            made = []
            for block in range(blocks):
                made.append(Bottleneck(channels, width, stride=2 if block == 0 and number > 0 else 1))
                channels = _EXPANSION * width
            self.add_module(f"stage{number + 1}", nn.Sequential(*made))
        self.head = nn.Conv3d(channels, config.embedding_width, 1)

    def features(self, volume: Tensor) -> Tensor:
        """The last stage's features, `(B, C, d, h, w)`."""
        volume = self.stem(volume.expand(-1, 3, -1, -1, -1))  # the colours of the network it was inflated from
        volume = functional.relu(self.stem_norm(volume), inplace=True)
        volume = functional.max_pool3d(volume, 3, stride=2, padding=1)
        for number in range(len(self.config.blocks)):
            volume = getattr(self, f"stage{number + 1}")(volume)
        return volume

    def forward(self, volume: Tensor) -> Tensor:
        """Embed scans."""
        pooled = functional.adaptive_avg_pool3d(self.features(volume), 1)
        return functional.normalize(self.head(pooled).flatten(1).float(), dim=-1)


def encoder_shapes(config: MerlinConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of its tensors."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ScanEncoder(config).state_dict().items()}
