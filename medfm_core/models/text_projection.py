"""The text side of an image-text model: the projection of sentence vectors, and the two numbers of the loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.initialisation import initialise_linear

INITIAL_SCALE = math.log(1 / 0.07)
INITIAL_BIAS = -10.0


class TextProjection(nn.Module):
    """Project sentence vectors into the space of the image embeddings, in float32 also under autocast.

    Args:
        text_width: values of a sentence vector, `W`.
        embedding_width: values of an embedding, `E`.

    Shapes:
        `(N, W)` of any floating type to `(N, E)` float32 of length 1.

    Source: TotalFM spec, section 1.7 (`text_proj` of the release).
    """

    def __init__(self, text_width: int, embedding_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_width, embedding_width)
        initialise_linear(self)

    def forward(self, vectors: Tensor) -> Tensor:
        """Embed sentence vectors."""
        with torch.autocast(vectors.device.type, enabled=False):
            return functional.normalize(self.linear(vectors.float()), dim=-1, eps=1e-6)


class Logits(nn.Module):
    """How well images and sentences fit: their cosine, scaled and shifted by two learned numbers.

    Shapes:
        Image embeddings `(B, E)` and sentence embeddings `(P, E)`, both of length 1, to `(B, P)` float32.

    Source: TotalFM spec, section 1.8; the bias is that of the sigmoid loss (arXiv:2303.15343).
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.bias = nn.Parameter(torch.tensor(INITIAL_BIAS))

    def forward(self, images: Tensor, sentences: Tensor) -> Tensor:
        """Score every image with every sentence."""
        with torch.autocast(images.device.type, enabled=False):
            return self.scale.exp() * (images.float() @ sentences.float().T) + self.bias
