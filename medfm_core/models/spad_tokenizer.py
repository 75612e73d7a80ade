"""SPAD-VT: volumes of any slice thickness, and 2D images, to soft tokens and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor, nn

from medfm_core.layers.adaptive_convolution import AdaptiveConv3d, AdaptiveStep, AdaptiveUpConv3d, Reduction
from medfm_core.layers.anisotropy import Anisotropy, adaptive_patch
from medfm_core.layers.channel_norm import ChannelNorm
from medfm_core.layers.patches import patch_grid
from medfm_core.layers.soft_quantiser import SoftQuantiser, SoftTokens
from medfm_core.models.sizes import read_sizes

ARCHITECTURE = "spad_tokenizer"


@dataclass(frozen=True)
class SpadTokenizerConfig:
    """Architecture as data; the defaults are those of the published tokenizer, but for `up_reduction`.

    Attributes:
        channels: of the volume.
        widths: channels after each step down; the last is also that of a codebook entry.
        first_stride: stride of the first step down, a power of two; all further ones halve.
        tokens: entries of the codebook.
        groups: of the group norms; divides every width.
        up_reduction: `mean` keeps the output's scale whatever the slice thickness; `sum` is the published form.
    """

    channels: int = 3
    widths: tuple[int, ...] = (128, 256, 512)
    first_stride: int = 4
    tokens: int = 1024
    groups: int = 8
    up_reduction: Reduction = "mean"

    def __post_init__(self) -> None:
        if not self.widths or min(self.channels, self.tokens, self.groups, *self.widths) < 1:
            raise ValueError("channels, widths, tokens and groups must be at least 1")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"widths {list(self.widths)} must be multiples of groups {self.groups}")
        if self.first_stride < 1 or self.first_stride & (self.first_stride - 1):
            raise ValueError(f"first_stride {self.first_stride} must be a power of two")

    @property
    def stride(self) -> int:
        """Pixels of a token along H and W."""
        return self.first_stride * 2 ** (len(self.widths) - 1)

    @property
    def halvings(self) -> int:
        """Halvings of the plane from the image to the tokens."""
        return self.stride.bit_length() - 1

    def token_grid(self, sides: Sequence[int], degree: int) -> tuple[int, int, int]:
        """Count the tokens along D, H, W of a volume of `sides` voxels.

        Raises:
            InputError: the sides are not multiples of a token's.
        """
        return patch_grid(sides, adaptive_patch(self.stride, degree))


class Reconstruction(NamedTuple):
    """A volume drawn from its tokens, `(B, C, D, H, W)`, and the tokens."""

    volume: Tensor
    tokens: SoftTokens


class SpadTokenizer(nn.Module):
    """Encoder, soft quantiser and decoder, all of them adaptive; no attention and no skip connections.

    Args:
        config: the architecture.

    Shapes:
        `(B, C, D, H, W)` of values in [-1, 1] (grey repeated to three channels in the published one), sides multiples
        of `max(16 >> degree, 1), 16, 16`.

    Source: SPAD spec, section 3.
    """

    def __init__(self, config: SpadTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantiser = SoftQuantiser(config.widths[-1], config.tokens)
        self.decoder = Decoder(config)

    def encode(self, volume: Tensor, degree: int) -> Tensor:
        """Features before quantisation, `(B, width, d, h, w)`.

        Args:
            volume: `(B, C, D, H, W)`.
            degree: degree of anisotropy of the whole batch, `degree_of_anisotropy` of its spacing.

        Raises:
            InputError: the sides are not multiples of a token's.
        """
        self.config.token_grid(volume.shape[2:], degree)
        return self.encoder(volume, degree)

    def logits(self, volume: Tensor, degree: int) -> Tensor:
        """Logits of the soft tokens, `(B, d, h, w, K)` float32; see `encode`."""
        return self.quantiser.logits(self.encode(volume, degree))

    def decode(self, embedded: Tensor, degree: int) -> Tensor:
        """Draw volumes `(B, C, D, H, W)` from mixtures of codebook entries `(B, width, d, h, w)`."""
        return self.decoder(embedded, degree)

    def forward(self, volume: Tensor, degree: int) -> Reconstruction:
        """Tokenise volumes and draw them again; see `encode`."""
        tokens = self.quantiser(self.encode(volume, degree))
        return Reconstruction(self.decode(tokens.embedded, degree), tokens)


class Encoder(nn.Module):
    """Steps down, each with norms over channels, then two convolutions at the tokens' resolution."""

    def __init__(self, config: SpadTokenizerConfig) -> None:
        super().__init__()
        strides = [config.first_stride, *[2] * (len(config.widths) - 1)]
        befores = [config.channels, *config.widths]
        self.steps = nn.ModuleList(
            AdaptiveStep(AdaptiveConv3d(before, after, stride, stride), ChannelNorm(after), nn.GELU())
            for before, after, stride in zip(befores, config.widths, strides, strict=False)
        )
        self.steps.extend(_same_size(config.widths[-1], config.groups) for _ in range(2))

    def forward(self, volume: Tensor, degree: int) -> Tensor:
        """Return the features at the tokens' resolution."""
        state = Anisotropy(degree)
        for step in self.steps:
            volume, state = step(volume, state)
        return volume


class Decoder(nn.Module):
    """Two convolutions at the tokens' resolution, then steps up; the last one draws the channels, unbounded."""

    def __init__(self, config: SpadTokenizerConfig) -> None:
        super().__init__()
        self._halvings = config.halvings
        self.steps = nn.ModuleList(_same_size(config.widths[-1], config.groups) for _ in range(2))
        widths = config.widths[::-1]
        for before, after in pairwise(widths):
            self.steps.append(AdaptiveUpConv3d(before, after, 2, config.up_reduction))
            self.steps.append(_same_size(after, config.groups))
        self.draw = AdaptiveUpConv3d(widths[-1], config.channels, config.first_stride, config.up_reduction)

    def forward(self, embedded: Tensor, degree: int) -> Tensor:
        """Return the volume."""
        volume, state = embedded, Anisotropy(degree, self._halvings)
        for step in self.steps:
            volume, state = step(volume, state)
        return self.draw(volume, state)[0]


def sizes() -> dict[str, dict[str, Any]]:
    """Values of `SpadTokenizerConfig` by size: tiny, base, released.

    Raises:
        WeightsError: the files of the sizes are missing or not usable.
    """
    return read_sizes(ARCHITECTURE)


def _same_size(width: int, groups: int) -> AdaptiveStep:
    return AdaptiveStep(AdaptiveConv3d(width, width, 3), nn.GroupNorm(groups, width), nn.LeakyReLU())
