"""The model cards that there are: listed, read by id or path, and the one that runs when the user names none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from medfm_core.cards import TASKS, ModelCard
from medfm_core.errors import InputError, WeightsError
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict, nearest, unknown_name


def list_cards(folder: str | Path | None = None) -> tuple[ModelCard, ...]:
    """All cards, by id.

    Args:
        folder: where the cards lie; by default `cards` of the Resources.

    Raises:
        WeightsError: a card is not usable.
    """
    return tuple(_read(path) for path in sorted(_cards(folder).glob("*.json")))


def load_card(name: str | Path, folder: str | Path | None = None) -> ModelCard:
    """Read one card.

    Args:
        name: its id, or the path of its file.
        folder: where the cards lie; by default `cards` of the Resources.

    Raises:
        InputError: there is no such card; the nearest ids are given.
        WeightsError: the card is not usable.
    """
    given = Path(name)
    if given.suffix == ".json":
        if not given.is_file():
            raise InputError(f"there is no model card {given}", "give the path of a card or the id of a model")
        return _read(given)
    known = {path.stem: path for path in _cards(folder).glob("*.json")}
    if str(name) not in known:
        raise InputError(unknown_name("model", name, known), "see `medfm models list`")
    return _read(known[str(name)])


def default_card(task: str, folder: str | Path | None = None) -> ModelCard:
    """The card that runs when the user names none: the task's default, or its only shipped one.

    Raises:
        InputError: the task is not known.
        WeightsError: no card is there for it, or several and no default.
    """
    if task not in TASKS:
        raise InputError(f"the task {task!r} is not known{nearest(task, TASKS)}")
    cards = [card for card in list_cards(folder) if card.task == task]
    chosen = [card for card in cards if card.default] or [card for card in cards if card.source.kind == "shipped"]
    if len(chosen) != 1:
        ids = ", ".join(card.id for card in chosen or cards) or "none"
        raise WeightsError(f"there is no single default model for {task} (there: {ids})", "name the model to use")
    return chosen[0]


def _cards(folder: str | Path | None) -> Path:
    return read_settings().resources / "cards" if folder is None else Path(folder)


def _read(path: Path) -> ModelCard:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"the model card {path} cannot be read ({error})", "correct or replace it") from error
    card = from_dict(ModelCard, data, f"the model card {path}", WeightsError)
    if card.id != path.stem:
        raise WeightsError(f"the model card {path} says its id is {card.id!r}", "name the file after its id")
    return replace(card, folder=path.parent)
