"""TotalFM: one embedding per organ crop, made to be compared with embeddings of sentences.

The image side of the released model: a volume transformer, attentive pooling and two linear layers to a vector of
length 1. `totalfm_weights.py` loads it, under our names of the parameters or the release's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.attentive_pooling import AttentivePooling
from medfm_core.layers.initialisation import initialise_linear
from medfm_core.layers.peak_pooling import PeakPooling
from medfm_core.models.sizes import read_sizes
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig

ARCHITECTURE = "totalfm"
SIZE_FEATURES = 4  # what `medfm_core.organ_volumes.size_of` gives
_OCTAVES = 4


@dataclass(frozen=True)
class TotalFMConfig(VolumeTransformerConfig):
    """The volume transformer's fields and the head's; the defaults are those of the released model.

    Attributes:
        head_width: channels after the head.
        embedding_width: channels of the embedding.
        organ_size: tell the encoder how big the organ is, which a crop brought to a fixed size no longer shows; ours,
            the release has nothing of the kind.
        densities: how many numbers on the organ's HU come with its size; ours as well.
        peak: add the strongest response of each channel to what attention pools, for findings that fill one token of
            hundreds; ours as well.
    """

    head_width: int = 768
    embedding_width: int = 768
    organ_size: bool = False
    densities: int = 0
    peak: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.head_width, self.embedding_width) < 1:
            raise ValueError("head_width and embedding_width must be at least 1")
        if self.densities < 0 or (self.densities and not self.organ_size):
            raise ValueError("densities must be at least 0 and come with organ_size")

    @property
    def size_features(self) -> int:
        """Numbers that go in beside the volume."""
        return SIZE_FEATURES + self.densities if self.organ_size else 0


class SizeEmbedding(nn.Module):
    """What is added to a pooled organ for its size and densities; nothing at the start of training.

    Densities of one organ differ by little between patients and by a lot between organs. Waves of rising frequency
    spread small differences out, so that few steps of training find them.

    Args:
        features: numbers on the organ.
        hidden: channels in between.
        width: channels of the organ.
        octaves: how many waves, each twice as fast as the last, a density becomes besides itself; 0 for none.

    Shapes:
        `(B, features)` to `(B, width)`.

    Source: arXiv:2006.10739 for the waves.
    """

    def __init__(self, features: int, hidden: int, width: int, octaves: int = 0) -> None:
        super().__init__()
        self.octaves = octaves
        self.widen = nn.Linear(features + 2 * octaves * (features - SIZE_FEATURES), hidden)
        self.narrow = nn.Linear(hidden, width)
        initialise_linear(self)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, size: Tensor) -> Tensor:
        """Embed sizes."""
        told = torch.cat([size, *self._waves(size[:, SIZE_FEATURES:].float())], dim=-1)
        return self.narrow(functional.gelu(self.widen(told.to(self.widen.weight.dtype))))

    def _waves(self, densities: Tensor) -> list[Tensor]:
        angles = [math.pi * 2**octave * densities for octave in range(self.octaves)]
        return [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]


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
        self.peak = PeakPooling(config.width) if config.peak else None
        self.head_norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.head_width, bias=False)
        self.projection = nn.Linear(config.head_width, config.embedding_width)
        for part in (self.pool, self.peak, self.head, self.projection):
            if part is not None:
                initialise_linear(part)
        self.size = _size_embedding(config) if config.organ_size else None

    def pooled(self, tokens: Tensor, size: Tensor | None = None) -> Tensor:
        """Embed tokens of the backbone.

        Args:
            tokens: `(B, N, width)`.
            size: how big the organs are and how dense, `(B, 4 + densities)`, where the architecture has `organ_size`.

        Returns:
            `(B, embedding_width)` float32 of length 1.

        Raises:
            InputError: the architecture and the input differ in whether there is a size.
        """
        if (size is None) != (self.size is None):
            raise InputError(
                "the encoder and its input differ in organ_size", "give sizes where the card has organ_size"
            )
        vector = self.pool(tokens)
        if self.peak is not None:
            vector = vector + self.peak(tokens)
        vector = self.head_norm(vector)
        if size is not None:
            vector = vector + self.size(size).to(vector.dtype)
        return functional.normalize(self.projection(self.head(vector)).float(), dim=-1, eps=1e-6)

    def forward(self, volume: Tensor, size: Tensor | None = None) -> Tensor:
        """Embed volumes; `size` `(B, 4 + densities)` where the architecture has `organ_size`."""
        return self.pooled(self.backbone(volume), size)

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the blocks' activations again in the backward pass instead of keeping them."""
        self.backbone.set_activation_checkpointing(on)


def _size_embedding(config: TotalFMConfig) -> SizeEmbedding:
    """As wide inside as the tokens' MLPs where there are densities: many thresholds of many organs."""
    if not config.densities:
        return SizeEmbedding(config.size_features, config.width, config.width)
    return SizeEmbedding(config.size_features, config.mlp_width, config.width, _OCTAVES)


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `TotalFMConfig` by size: tiny, small, base, released.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)
