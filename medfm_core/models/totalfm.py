"""TotalFM: one embedding per organ crop, made to be compared with embeddings of sentences.

The image side of the released model: a volume transformer, attentive pooling and two linear layers to a vector of
length 1. `totalfm_weights.py` loads it, under our names of the parameters or the release's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.attentive_pooling import AttentivePooling
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.models.sizes import read_sizes
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig

ARCHITECTURE = "totalfm"


@dataclass(frozen=True)
class TotalFMConfig(VolumeTransformerConfig):
    """The volume transformer's fields and the head's; the defaults are those of the released model.

    Attributes:
        head_width: channels after the head.
        embedding_width: channels of the embedding.
    """

    head_width: int = 768
    embedding_width: int = 768

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.head_width, self.embedding_width) < 1:
            raise ValueError("head_width and embedding_width must be at least 1")


class ImageEncoder(nn.Module):
    """Embedding of an organ crop.

    Args:
        config: the architecture.

    Shapes:
        `(B, C, D, H, W)`, sides multiples of `config.patch_size`, to `(B, embedding_width)` float32 of length 1. D runs
        along slices, H along rows, W along columns. The released model expects 3 windows in [0, 1] on 32 x 192 x 192.

    Source: TotalFM spec, section 1.6.
    """

    def __init__(self, config: TotalFMConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = VolumeTransformer(config)
        self.pool = AttentivePooling(config.width, config.heads)
        self.head_norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.head_width, bias=False)
        self.projection = nn.Linear(config.head_width, config.embedding_width)
        for part in (self.pool, self.head, self.projection):
            initialise_linear(part)

    def pooled(self, tokens: Tensor) -> Tensor:
        """Embed tokens of the backbone, `(B, N, width)` to `(B, embedding_width)` of length 1."""
        vector = self.projection(self.head(self.head_norm(self.pool(tokens))))
        return functional.normalize(vector.float(), dim=-1, eps=1e-6)

    def forward(self, volume: Tensor) -> Tensor:
        """Embed volumes."""
        return self.pooled(self.backbone(volume))

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.backbone.set_activation_checkpointing(on)


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `TotalFMConfig` by size: tiny, small, base, released.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)
