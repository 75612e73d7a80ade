"""CT-CLIP's image encoder: a transformer over blocks of a chest CT, a codebook, one vector per scan.

Tokens look at each other within a slab of slices first, and along the slices afterwards. `ct_clip_weights.py` loads the
release.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.models.ct_clip_layers import DistanceBias, TokenBlock, nearest_entries

ARCHITECTURE = "ct_clip"


@dataclass(frozen=True)
class CTClipConfig:
    """Architecture as data; the defaults are the released size.

    Attributes:
        image_size: voxels of the scan along D, H, W.
        patch_size: voxels of one token.
        width: channels of a token.
        depth: blocks within the slabs, and as many along the slices.
        heads, head_width: of the attention.
        codebook: entries of the codebook.
        embedding_width: channels of the embedding.
    """

    image_size: tuple[int, int, int] = (240, 480, 480)
    patch_size: tuple[int, int, int] = (10, 20, 20)
    width: int = 512
    depth: int = 4
    heads: int = 8
    head_width: int = 32
    codebook: int = 8192
    embedding_width: int = 512

    def __post_init__(self) -> None:
        counts = (self.width, self.depth, self.heads, self.head_width, self.codebook, self.embedding_width)
        if min(*self.image_size, *self.patch_size, *counts) < 1:
            raise ValueError("sizes and counts must be at least 1")
        if any(side % patch for side, patch in zip(self.image_size, self.patch_size, strict=True)):
            raise ValueError(
                f"image_size {list(self.image_size)} must be multiples of patch_size {list(self.patch_size)}"
            )

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Tokens along D, H, W."""
        return tuple(side // patch for side, patch in zip(self.image_size, self.patch_size, strict=True))

    @property
    def mlp_width(self) -> int:
        """Channels within a block's perceptron."""
        return int(4 * (2 / 3) * self.width)

    def peak_bytes(self, size: tuple[int, int, int]) -> float:
        """About how much memory one scan takes within the network, where it is widest: in a block's perceptron.

        Args:
            size: voxels along D, H, W.
        """
        tokens = math.prod(self.token_grid)
        inside = tokens * (4 * self.mlp_width + 8 * self.width) + self.heads * math.prod(self.token_grid[1:]) ** 2
        return 4 * (3.0 * math.prod(size) + inside)


class ScanTransformer(nn.Module):
    """Embedding of a whole scan.

    Args:
        config: the architecture.

    Shapes:
        `(B, 1, D, H, W)` of `config.image_size` to `(B, embedding_width)` float32 of length 1. In the release D runs
        along slices towards Superior, H towards Left and W towards Posterior, on 240 x 480 x 480 voxels of
        1.5 x 0.75 x 0.75 mm in [-1, 1].

    Source: the code of CT-CLIP, for the layers and their order; arXiv:2403.17834.
    """

    def __init__(self, config: CTClipConfig) -> None:
        super().__init__()
        self.config = config
        voxels, width = math.prod(config.patch_size), config.width
        self.patch_norm = nn.LayerNorm(voxels)
        self.patches = nn.Linear(voxels, width)
        self.token_norm = nn.LayerNorm(width)
        self.distance_bias = DistanceBias(width, config.heads)
        self.within = nn.ModuleList(_blocks(config))
        self.within_norm = nn.LayerNorm(width)
        self.along = nn.ModuleList(_blocks(config))
        self.along_norm = nn.LayerNorm(width)
        self.register_buffer("codebook", torch.zeros(config.codebook, width))
        self.head = nn.Linear(math.prod(config.token_grid[1:]) * width, config.embedding_width, bias=False)

    def features(self, volume: Tensor) -> Tensor:
        """The tokens before the codebook, `(B, d, h, w, C)`."""
        tokens = self.token_norm(self.patches(self.patch_norm(self._cut(volume))))
        count, depth, rows, columns = grid = tuple(tokens.shape[:4])
        bias = self.distance_bias(rows, columns)
        tokens = tokens.reshape(count * depth, rows * columns, -1)
        for block in self.within:
            tokens = block(tokens, grid, bias)
        tokens = self.within_norm(tokens).reshape(count, depth, rows * columns, -1)
        tokens = tokens.transpose(1, 2).reshape(count * rows * columns, depth, -1)
        # The release reads these rows, one per place, as if they were slabs when it looks at neighbours; the weights
        # were taught with that.
        for block in self.along:
            tokens = block(tokens, grid, None)
        return self.along_norm(tokens).reshape(count, rows, columns, depth, -1).movedim(3, 1)

    def forward(self, volume: Tensor) -> Tensor:
        """Embed scans."""
        tokens = nearest_entries(self.features(volume), self.codebook)
        return functional.normalize(self.head(tokens.mean(dim=1).flatten(1)).float(), dim=-1)

    def _cut(self, volume: Tensor) -> Tensor:
        """Blocks of voxels, each in a row: `(B, d, h, w, voxels)`."""
        (depth, rows, columns), (d, h, w) = self.config.token_grid, self.config.patch_size
        cut = volume.reshape(len(volume), depth, d, rows, h, columns, w)
        return cut.permute(0, 1, 3, 5, 2, 4, 6).flatten(4)


def encoder_shapes(config: CTClipConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of its tensors."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ScanTransformer(config).state_dict().items()}


def _blocks(config: CTClipConfig) -> list[TokenBlock]:
    return [TokenBlock(config.width, config.heads, config.head_width, config.mlp_width) for _ in range(config.depth)]
