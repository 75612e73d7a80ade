"""MONAI's VISTA3D with its class prompts: every class asked for at once, without points.

Of the published network only what answers class prompts is kept: the encoder, the decoder of the automatic branch and
the class head. The point head and the decoder that feeds it are left out when the checkpoint is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medfm_core.card_parts import WeightFile
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.strict import from_dict
from medfm_core.weights import load_weights

ARCHITECTURE = "monai_vista3d"
_DIVISOR = 16  # five levels


@dataclass(frozen=True)
class Vista3dConfig:
    """Architecture as data; a card's `architecture` entry holds these fields.

    Attributes:
        out_channels: class numbers that the network was published with, background included.
        encoder_embed_dim: channels of the first level and of the class embeddings.
        in_channels: channels of the input.
    """

    out_channels: int = 133
    encoder_embed_dim: int = 48
    in_channels: int = 1

    @property
    def divisor(self) -> int:
        """Every side of an input must be a multiple of this many voxels."""
        return _DIVISOR


class PublishedVista3d(nn.Module):
    """VISTA3D asked for a fixed list of classes, behind our order of axes.

    Args:
        config: the architecture.
        prompts: the published numbers of the classes to ask for.

    Attributes:
        numbers: the published class number of each output channel; 0, the background, comes first.

    Shapes:
        input `(B, in_channels, D, H, W)`, sides multiples of 16; output `(B, 1 + prompts, D, H, W)`. A class wins where
        its logit is the highest and above 0, which is the background's. Axes as in `PublishedSegResNet`.

    Source: He et al. 2024, arXiv:2406.05285; `monai.networks.nets.vista3d132`.
    """

    def __init__(self, config: Vista3dConfig, prompts: tuple[int, ...]) -> None:
        from monai.networks.nets.vista3d import vista3d132

        super().__init__()
        self.config, self.numbers = config, (0, *prompts)
        whole = vista3d132(encoder_embed_dim=config.encoder_embed_dim, in_channels=config.in_channels)
        self.image_encoder, self.class_head = whole.image_encoder, whole.class_head
        # Its forward pass still counts these levels, so they stay as empty shells.
        self.image_encoder.up_layers = nn.ModuleList(nn.Identity() for _ in self.image_encoder.up_layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(B, 1 + prompts, D, H, W)`."""
        x = x.permute(0, 1, 4, 3, 2).contiguous()
        _, features = self.image_encoder(x, with_point=False, with_label=True)
        prompts = torch.tensor(self.numbers[1:], device=x.device)[:, None]
        logits, _ = self.class_head(features, prompts)
        logits = logits.transpose(0, 1)
        background = logits.new_zeros(len(logits), 1, *logits.shape[2:])
        return torch.cat([background, logits], dim=1).permute(0, 1, 4, 3, 2)


def tensor_shapes(card: ModelCard, file: WeightFile | None = None) -> Mapping[str, tuple[int, ...]]:
    """Name to shape of the tensors that answer class prompts, under the names of the published checkpoint.

    Args:
        card: a card of architecture `monai_vista3d`.
        file: its entry; there is but one kind.
    """
    return {name: tuple(value.shape) for name, value in _empty(card).state_dict().items()}


def load(card: ModelCard, device: torch.device | str = "cpu") -> PublishedVista3d:
    """Build the net of a card and load its weights strictly, in fp32 and evaluation mode.

    Args:
        card: an `organ_segmentation` card of architecture `monai_vista3d`; its labels are the classes asked for.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of other shapes.
    """
    net = _empty(card)
    state = load_weights(card.weights_path, tensor_shapes(card), str(device))
    net.load_state_dict({name: value.float() for name, value in state.items()}, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def _empty(card: ModelCard) -> PublishedVista3d:
    config = from_dict(Vista3dConfig, dict(card.architecture.options), f"{card.id}: architecture", WeightsError)
    with torch.device("meta"):
        return PublishedVista3d(config, tuple(card.channels))
