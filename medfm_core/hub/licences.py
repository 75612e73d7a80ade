"""Licences are shown before the first fetch, and those with conditions are accepted once.

An acceptance is kept in the cache under the digest of what was accepted: other terms ask again.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

from medfm_core.cards import ModelCard
from medfm_core.errors import InputError

ACCEPTED = "licences.json"
# What everybody may use for everything; attribution and notices concern those who pass it on.
OPEN_LICENCES = ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "Unlicense")


def needs_acceptance(card: ModelCard) -> bool:
    """Whether the user must accept something before the weights are fetched."""
    return card.source.kind == "hub" and (card.terms is not None or card.licence not in OPEN_LICENCES)


def licence_text(card: ModelCard) -> str:
    """What the user is shown: the licence, its address, its terms, and what the model is for."""
    lines = [f"{card.title or card.id} ({card.id})", f"Licence: {card.licence}"]
    if card.source.repo:
        lines.append(f"From: {card.source.repo} on the Hugging Face Hub")
    if card.licence_url:
        lines.append(f"Text: {card.licence_url}")
    if card.terms:
        lines.append(f"Terms: {card.terms}")
    if card.source.gated:
        lines.append(f"Access: {card.source.access}")
    lines.append(f"Use: {card.intended_use}")
    return "\n".join(lines)


def is_accepted(card: ModelCard, cache: Path) -> bool:
    """Whether nothing is left to accept for a card.

    Args:
        card: the card.
        cache: the cache's folder.
    """
    return not needs_acceptance(card) or _key(card) in _read(cache)


def accept(card: ModelCard, cache: Path) -> None:
    """Record that the user accepts a card's licence and terms.

    Raises:
        InputError, ResourceError: the cache cannot be written.
    """
    from medfm_core.hub.places import make_folder
    from medfm_core.io.atomic import atomic_text

    if not needs_acceptance(card):
        return
    entry = {
        "model": card.id,
        "licence": card.licence,
        "terms": card.terms,
        "accepted": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    make_folder(cache)
    atomic_text(cache / ACCEPTED, json.dumps(_read(cache) | {_key(card): entry}, indent=1, ensure_ascii=False) + "\n")


def check_accepted(card: ModelCard, cache: Path) -> None:
    """Refuse to go on with a licence that was not accepted.

    Raises:
        InputError: it was not.
    """
    if not is_accepted(card, cache):
        raise InputError(
            f"the licence of {card.id} ({card.licence}) was not accepted",
            f"read it with medfm models licence {card.id}, then give --accept-licence",
        )


def _key(card: ModelCard) -> str:
    what = json.dumps([card.source.repo, card.licence, card.licence_url, card.terms])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _read(cache: Path) -> dict[str, object]:
    try:
        data = json.loads((cache / ACCEPTED).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
