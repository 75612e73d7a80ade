"""What the vector of a brain MRI depends on: integrated gradients of the vector that its encoder makes of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.models.encoded import pooled
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.integrated_gradients import IntegratedGradients
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.targets import check_volume

if TYPE_CHECKING:
    from medfm_core.brain_networks import BrainNetwork


class ScanVector(nn.Module):
    """A brain encoder as saliency methods take one: volumes to one vector each.

    Args:
        encoder: gives tokens, and says how they become one vector.

    Shapes:
        `(B, C, D, H, W)` to `(B, width)` float32, at length 1.
    """

    def __init__(self, encoder: BrainNetwork) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, volume: Tensor) -> Tensor:
        """Embed volumes."""
        return functional.normalize(pooled(self.encoder(volume).float(), self.encoder.pooling), dim=-1)


def vector_saliency(encoder: BrainNetwork, volume: Tensor, progress: Progress = SILENT) -> Tensor:
    """Share out among the patches what brings the vector of a scan to where it is.

    What is shared out is the gain of the cosine with the scan's own vector on the way to the scan from the scan blurred
    until nothing smaller than four patches is left. It says what made this vector, not what is abnormal. Costs eight
    passes forward and backward, and one forward.

    Args:
        encoder: as it was afterwards.
        volume: `(1, C, D, H, W)`, on the encoder's device.
        progress: told of the steps; may cancel.

    Returns:
        Per patch along D, H, W, float32, on the CPU, at least 0, with the highest value 1; all 0 where no patch brings
        the vector nearer.

    Raises:
        InputError: not one volume that divides into patches.
        CancelledError: no more is wanted.

    Source: arXiv:1703.01365. Rollout of attention does not explain a mean of tokens: each token's own part hides what
    it took from others.
    """
    check_volume(volume)
    whole = ScanVector(encoder)
    with torch.inference_mode(False), torch.no_grad(), quiet(encoder):  # what inference mode makes has no gradients
        direction = whole(volume)[0]
    relevance = IntegratedGradients()(whole, volume, lambda vectors: vectors @ direction, progress).cpu()
    return relevance / relevance.max().clamp(min=1e-30)
