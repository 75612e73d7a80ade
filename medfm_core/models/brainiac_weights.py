"""BrainIAC's weights, as the hub's conversion writes them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from medfm_core.card_parts import WeightFile
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.models.brainiac import BrainIACConfig, BrainIACEncoder
from medfm_core.models.strict_loading import load_net
from medfm_core.strict import from_dict


def tensor_shapes(card: ModelCard, file: WeightFile | None = None) -> Mapping[str, tuple[int, ...]]:
    """Name to shape of the tensors that a converted checkpoint must have.

    Args:
        card: the card.
        file: its entry; there is but one kind.

    Raises:
        WeightsError: the card's architecture is not usable.
    """
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in BrainIACEncoder(_config(card)).state_dict().items()}


def load_of_card(card: ModelCard, device: torch.device | str = "cpu") -> BrainIACEncoder:
    """Build the encoder of a card and load its weights strictly, in float32 and evaluation mode.

    Args:
        card: whose files are there.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    return load_net(lambda: BrainIACEncoder(_config(card)), card.weights_path, tensor_shapes(card), device)


def _config(card: ModelCard) -> BrainIACConfig:
    return from_dict(BrainIACConfig, dict(card.architecture.options), f"{card.id}: architecture", WeightsError)
