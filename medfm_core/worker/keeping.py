"""The requests that fetch, check and delete weights. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medfm_core.card_library import list_cards, load_card
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.hub.licences import accept
from medfm_core.hub.present import is_fetched
from medfm_core.settings import read_hub_settings
from medfm_core.worker.requests import ImportArguments, ModelArguments, PullArguments, VerifyArguments
from medfm_core.worker.telling import Telling, shares_of_files


def pull(arguments: PullArguments, telling: Telling) -> dict[str, Any]:
    """Fetch a model's files."""
    from medfm_core.hub.pull import pull_card

    card = _prepared(arguments, telling)
    return {"model": card.id, "folder": str(pull_card(card, telling))}


def take_in(arguments: ImportArguments, telling: Telling) -> dict[str, Any]:
    """Take a model's files from a folder, a zip or a file."""
    from medfm_core.hub.importing import import_card

    card = _prepared(arguments, telling)
    return {"model": card.id, "folder": str(import_card(card, Path(arguments.path), telling))}


def verify(arguments: VerifyArguments, telling: Telling) -> dict[str, Any]:
    """Check the files of one model, or of all that are here."""
    cards = (load_card(arguments.model),) if arguments.model else list_cards()
    telling.expect({card.id: float(sum(file.bytes or 1 for file in card.weights)) for card in cards})
    states = []
    for card in cards:
        with telling.stage(card.id):
            states.append({"model": card.id, **_verified(card, named=arguments.model is not None)})
    return {"models": states}


def remove(arguments: ModelArguments, telling: Telling) -> dict[str, Any]:
    """Delete a model's fetched files."""
    from medfm_core.hub.removing import remove_card

    card = load_card(arguments.model)
    return {"model": card.id, "freed_bytes": remove_card(card, list_cards(), telling)}


def _prepared(arguments: PullArguments, telling: Telling) -> ModelCard:
    card = load_card(arguments.model)
    if arguments.accept_licence:
        accept(card, read_hub_settings().cache)
    telling.expect(shares_of_files({file.published: file.bytes for file in card.weights}))
    return card


def _verified(card: ModelCard, named: bool) -> dict[str, str]:
    if card.source.kind == "hub" and not named and not is_fetched(card):
        return {"state": "not fetched", "detail": ""}
    try:
        card.verify()
    except WeightsError as error:
        return {"state": "damaged", "detail": str(error)}
    return {"state": "whole", "detail": ""}
