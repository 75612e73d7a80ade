"""TotalFM as a whole: organ volumes and sentences in one space."""

from __future__ import annotations

from torch import Tensor, nn

from medfm_core.models.text_projection import Logits, TextProjection
from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig


class OrganTextModel(nn.Module):
    """Image encoder, text projection and the two numbers of the loss.

    Args:
        config: the image encoder's architecture.
        text_width: values of a sentence vector, `W`.

    Source: TotalFM spec, sections 1.6 to 1.8.
    """

    def __init__(self, config: TotalFMConfig, text_width: int) -> None:
        super().__init__()
        self.image = ImageEncoder(config)
        self.text = TextProjection(text_width, config.embedding_width)
        self.logits = Logits()

    def forward(self, volume: Tensor, vectors: Tensor, size: Tensor | None = None) -> Tensor:
        """Score organ volumes `(B, C, D, H, W)` with sentence vectors `(P, W)`, to `(B, P)` float32."""
        return self.logits(self.image(volume, size), self.text(vectors))
