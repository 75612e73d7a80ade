"""The side that tells drawn volumes from real ones, place by place."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.adaptive_convolution import AdaptiveConv3d, AdaptiveStep
from medfm_core.layers.anisotropy import Anisotropy


class SpadDiscriminator(nn.Module):
    """Adaptive convolutions that halve the volume once per width, one more, and one that scores each place.

    Args:
        channels: of the volume.
        widths: channels after each step down.
        groups: of the group norms; divides every width.

    Shapes:
        `(B, channels, D, H, W)` to scores `(B, 1, d, h, w)`, higher for what looks real.

    Source: SPAD spec, section 4.
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (128, 256, 512), groups: int = 16) -> None:
        super().__init__()
        layers = [
            *(AdaptiveConv3d(a, b, 3, 2) for a, b in zip([channels, *widths], widths, strict=False)),
            AdaptiveConv3d(widths[-1], widths[-1], 3),
        ]
        self.steps = nn.ModuleList(
            AdaptiveStep(layer, nn.GroupNorm(groups, layer.out_channels), nn.LeakyReLU()) for layer in layers
        )
        self.score = AdaptiveConv3d(widths[-1], 1, 3)

    def forward(self, volume: Tensor, degree: int) -> Tensor:
        """Return the scores."""
        state = Anisotropy(degree)
        for step in self.steps:
            volume, state = step(volume, state)
        return self.score(volume, state)[0]


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Half the hinge loss of scores of real and of drawn volumes; 0 where all are told apart with a margin of 1.

    Source: SPAD spec, section 4.
    """
    return (functional.relu(1 - real.float()).mean() + functional.relu(1 + drawn.float()).mean()) / 2


def generator_loss(drawn: Tensor) -> Tensor:
    """What the drawing side pays for the scores of what it drew.

    Source: SPAD spec, section 4.
    """
    return -drawn.float().mean()
