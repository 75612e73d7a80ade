"""The text tower of a findings model: by name, or the encoder that comes inside its own checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.hub.present import require_files
from medfm_core.strict import from_dict

if TYPE_CHECKING:
    from medfm_core.models.published_text import TextEncoderConfig
    from medfm_core.models.text import TextTower

ROLE = "text_encoder"
OPTION = "text_encoder"


def text_encoder_of(card: ModelCard) -> TextEncoderConfig | None:
    """What a card says of the text encoder in its checkpoint; None where its text tower goes by name.

    Raises:
        WeightsError: the entry is not usable.
    """
    from medfm_core.models.published_text import TextEncoderConfig

    data = card.architecture.options.get(OPTION)
    return None if data is None else from_dict(TextEncoderConfig, data, f"{card.id}: {OPTION}", WeightsError)


def tokenizer_card(card: ModelCard) -> ModelCard | None:
    """The card of the tokenizer that a model's text encoder needs; None where it needs none of its own.

    Raises:
        InputError: there is no such card.
    """
    config = text_encoder_of(card)
    return None if config is None else load_card(config.tokenizer, card.folder)


def load_tower_of(card: ModelCard, name: str, root: str | Path | None = None) -> TextTower:
    """Load the text tower that a findings model was trained with.

    Args:
        card: the findings model's.
        name: of its tower, where it has no text encoder of its own.
        root: the folder of the card's files, where it is not the card's own.

    Raises:
        InputError: there is no such tower.
        ResourceError: a package is missing, or the tower is not on this machine.
        WeightsError: files are missing or damaged.
    """
    config = text_encoder_of(card)
    if config is None:
        from medfm_core.models.text import load_text_tower

        return load_text_tower(name)
    from medfm_core.models.published_text import load_published_tower

    tokenizer = tokenizer_card(card)
    require_files(tokenizer)
    return load_published_tower(config, card.files(root)[card.file_of(ROLE)], tokenizer.root())
