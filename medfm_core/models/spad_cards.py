"""The SPAD networks that model cards describe, and which card a command takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from medfm_core.card_library import list_cards, load_card
from medfm_core.cards import ModelCard, verify_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.layers.anisotropy import SINGLE_SLICE_DEGREE
from medfm_core.models import spad_tokenizer, spad_vit
from medfm_core.models.spad_tokenizer import SpadTokenizer, SpadTokenizerConfig
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.models.spad_weights import load_spad_tokenizer, load_spad_vit
from medfm_core.strict import from_dict
from medfm_core.whitening import Whitening

ENCODER, TOKENIZER = spad_vit.ARCHITECTURE, spad_tokenizer.ARCHITECTURE
_TASKS = {ENCODER: "embedding", TOKENIZER: "reconstruction"}
_WHAT = {ENCODER: "SPAD encoder", TOKENIZER: "SPAD tokenizer"}
_RECIPES = {ENCODER: "tiny-mim.yaml", TOKENIZER: "tiny-tokenizer.yaml"}
_TILE_TOKENS = {ENCODER: (5, 10, 10), TOKENIZER: (4, 16, 16)}


def choose_card(architecture: str, name: str | None = None) -> ModelCard:
    """The card of a name, or the one that is installed.

    Args:
        architecture: `ENCODER` or `TOKENIZER`.
        name: id or path of a card; None for the default one, or the only one whose weights are on this machine.

    Raises:
        InputError: there is no such card, or it is of another network.
        WeightsError: no name is given and none is installed, or several are and none is the default.
    """
    if name is not None:
        card = load_card(name)
        if card.architecture.name != architecture:
            raise InputError(f"the model {card.id} is no {_WHAT[architecture]}", "choose another, or leave --model out")
        return card
    known = [c for c in list_cards() if (c.architecture.name, c.task) == (architecture, _TASKS[architecture])]
    found = [card for card in known if card.default] or [card for card in known if _is_here(card)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WeightsError(f"several are installed: {', '.join(card.id for card in found)}", "name one by --model")
    raise WeightsError(
        f"no {_WHAT[architecture]} is installed",
        f"give a card by --model, e.g. one that training.export made of training/recipes/spad/{_RECIPES[architecture]}",
    )


def load_encoder(card: ModelCard, device: torch.device | str = "cpu") -> SpadVit:
    """Load a card's transformer, in evaluation mode.

    Raises:
        WeightsError: the weights are missing, damaged or of another network.
    """
    verify_card(card)
    options = dict(card.architecture.options)
    return load_spad_vit(card.weights_path, from_dict(SpadVitConfig, options, f"the card {card.id}", WeightsError),
                         device)  # fmt: skip


def load_whitening(card: ModelCard, width: int) -> Whitening | None:
    """What is taken from a card's vectors before they are compared; None if the card says nothing of it.

    Args:
        card: its files were verified when its encoder was loaded.
        width: of the encoder's tokens.

    Raises:
        WeightsError: the file is damaged, or of another width.
    """
    path = next((path for file, path in card.files().items() if file.role == "whitening"), None)
    if path is None:
        return None
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path.name} cannot be read: {error}", "install the weights again") from error
    shapes = {"centre": (width,), "matrix": (width, width)}
    if {name: tuple(value.shape) for name, value in found.items()} != shapes:
        raise WeightsError(f"{path.name} holds no whitening of {width} numbers", "run training.whiten_vectors again")
    if not all(torch.isfinite(value).all() for value in found.values()):
        raise WeightsError(f"{path.name} holds values that are no numbers", "run training.whiten_vectors again")
    return Whitening(found["centre"].float(), found["matrix"].float())


def load_tokenizer(card: ModelCard, device: torch.device | str = "cpu") -> SpadTokenizer:
    """Load a card's tokenizer; see `load_encoder`."""
    verify_card(card)
    options = dict(card.architecture.options)
    config = from_dict(SpadTokenizerConfig, options, f"the card {card.id}", WeightsError)
    return load_spad_tokenizer(card.weights_path, config, device)


def tile_tokens(card: ModelCard, patch: int, degree: int) -> tuple[int, int, int]:
    """Tokens of a tile along D, H, W.

    Args:
        card: its `inference.tile` are the sides of a tile of cubic voxels.
        patch: pixels of a token.
        degree: degree of anisotropy; single slices have tiles of one token.
    """
    sides: Sequence[int] = _TILE_TOKENS[card.architecture.name]
    if card.inference.tile:
        sides = [max(side // patch, 1) for side in card.inference.tile]
    return (1 if degree >= SINGLE_SLICE_DEGREE else sides[0]), sides[1], sides[2]


def _is_here(card: ModelCard) -> bool:
    try:
        return all(path.is_file() for path in card.files().values())
    except WeightsError:
        return False
