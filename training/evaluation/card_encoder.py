"""The encoder of a model card, for probing weights that were not trained here."""

from __future__ import annotations

from typing import Any

from torch import nn

from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard, verify_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.strict import from_dict, unknown_name


def load_card_encoder(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """Load the encoder that a card describes.

    Args:
        name: id of an installed card, or the path of a card's file.

    Returns:
        The encoder in evaluation mode, and what it is, as plain data.

    Raises:
        InputError: there is no such card, or its model is no encoder.
        WeightsError: the weights are missing, damaged or of another network.
    """
    card = load_card(name)
    build = _LOADERS.get(card.architecture.name)
    if build is None:
        what = unknown_name("encoder", card.architecture.name, _LOADERS)
        raise InputError(f"the model {card.id} cannot be probed: {what}", "choose a card of an encoder")
    verify_card(card)
    return build(card), {"card": card.id, "card_digest": card.digest}


def _totalfm(card: ModelCard) -> nn.Module:
    from medfm_core.models.totalfm import TotalFMConfig
    from medfm_core.models.totalfm_weights import load_image_encoder

    config = from_dict(TotalFMConfig, dict(card.architecture.options), f"the card {card.id}", WeightsError)
    return load_image_encoder(card.weights_path, config)


def _transformer(card: ModelCard) -> nn.Module:
    from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig
    from medfm_core.weights import load_weights

    options = dict(card.architecture.options)
    encoder = VolumeTransformer(from_dict(VolumeTransformerConfig, options, f"the card {card.id}", WeightsError))
    state = load_weights(card.weights_path, {name: tuple(v.shape) for name, v in encoder.state_dict().items()})
    encoder.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    return encoder.eval().requires_grad_(False)


def _brain(card: ModelCard) -> nn.Module:
    from medfm_core.brain_encoding import load_brain_encoder

    return load_brain_encoder(card, "cpu")


def _spad(card: ModelCard) -> nn.Module:
    from medfm_core.models.spad_cards import load_encoder
    from training.heads.spad_encoder import spad_encoder

    return spad_encoder(load_encoder(card)).eval()


_LOADERS = {"brainiac": _brain, "neuro_jepa": _brain, "spad_vit": _spad, "totalfm": _totalfm,
            "volume_transformer": _transformer}  # fmt: skip
