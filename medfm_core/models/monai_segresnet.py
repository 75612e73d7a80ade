"""MONAI's SegResNet as published whole-body bundles use it.

The network itself is MONAI's, imported when it is needed. Here are its architecture as data, the tensors that a
converted checkpoint must hold, and the turn of axes: MONAI's nets see (Right, Anterior, Superior), ours (S, A, R).
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

ARCHITECTURE = "monai_segresnet"


@dataclass(frozen=True)
class SegResNetConfig:
    """Architecture as data; a card's `architecture` entry holds these fields, named as in MONAI.

    Attributes:
        in_channels: channels of the input.
        out_channels: classes, background included.
        init_filters: channels of the first level; each further one has twice as many.
        blocks_down: residual blocks of the encoder's levels.
        blocks_up: residual blocks of the decoder's levels.
    """

    in_channels: int = 1
    out_channels: int = 105
    init_filters: int = 32
    blocks_down: tuple[int, ...] = (1, 2, 2, 4)
    blocks_up: tuple[int, ...] = (1, 1, 1)

    @property
    def divisor(self) -> int:
        """Every side of an input must be a multiple of this many voxels."""
        return 2 ** (len(self.blocks_down) - 1)


class PublishedSegResNet(nn.Module):
    """MONAI's SegResNet behind our order of axes.

    Args:
        config: the architecture.

    Shapes:
        input `(B, in_channels, D, H, W)`, sides multiples of `config.divisor`; output `(B, out_channels, D, H, W)`.
        D runs towards Superior, H towards Anterior, W towards Right (the array order of an RAS volume, transposed).

    Source: Myronenko 2018, arXiv:1810.11654; `monai.networks.nets.SegResNet`.
    """

    def __init__(self, config: SegResNetConfig) -> None:
        from monai.networks.nets.segresnet import SegResNet

        super().__init__()
        self.config = config
        self.network = SegResNet(
            spatial_dims=3,
            init_filters=config.init_filters,
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            blocks_down=config.blocks_down,
            blocks_up=config.blocks_up,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(B, out_channels, D, H, W)`."""
        return self.network(x.permute(0, 1, 4, 3, 2).contiguous()).permute(0, 1, 4, 3, 2)


def tensor_shapes(card: ModelCard, file: WeightFile | None = None) -> Mapping[str, tuple[int, ...]]:
    """Name to shape of the network's tensors, under the names of the published checkpoint.

    Args:
        card: a card of architecture `monai_segresnet`.
        file: its entry; there is but one kind.
    """
    return {name: tuple(value.shape) for name, value in _empty(card).network.state_dict().items()}


def load(card: ModelCard, device: torch.device | str = "cpu") -> PublishedSegResNet:
    """Build the net of a card and load its weights strictly, in fp32 and evaluation mode.

    Args:
        card: an `organ_segmentation` card of architecture `monai_segresnet`.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of other shapes.
    """
    net = _empty(card)
    state = load_weights(card.weights_path, tensor_shapes(card), str(device))
    net.network.load_state_dict({name: value.float() for name, value in state.items()}, strict=True, assign=True)
    return net.eval().requires_grad_(False)


def _empty(card: ModelCard) -> PublishedSegResNet:
    config = from_dict(SegResNetConfig, dict(card.architecture.options), f"{card.id}: architecture", WeightsError)
    with torch.device("meta"):
        return PublishedSegResNet(config)
