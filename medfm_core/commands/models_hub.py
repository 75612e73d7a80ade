"""The actions of `medfm models` that fetch files, take them in, delete them, and show what they may be used for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from medfm_core import progress
from medfm_core.errors import InputError, ResourceError
from medfm_core.settings import read_hub_settings

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard


def pull(args: argparse.Namespace) -> int:
    """Fetch a model's files."""
    from medfm_core.hub.pull import pull_card

    card = _card(args)
    if card.source.kind == "package":
        from medfm_core.total_segmentator import check_installed

        return _tell(args, card, "installed", str(check_installed(card)))
    beside = _needed_beside(card)
    for needed in (*beside, card):
        _settle_licence(args, needed)
    for needed in beside:
        pull_card(needed, _progress(args))
    state = "fetched" if card.source.kind == "hub" else "whole"
    folder = pull_card(card, _progress(args))
    _make_prompts(args, card)
    return _tell(args, card, state, str(folder))


def _needed_beside(card: ModelCard) -> tuple[ModelCard, ...]:
    """Cards whose files a model cannot do without: the tokenizer of its text encoder."""
    if card.task != "findings":
        return ()
    from medfm_core.text_towers import tokenizer_card

    needed = tokenizer_card(card)
    return () if needed is None else (needed,)


def _make_prompts(args: argparse.Namespace, card: ModelCard) -> None:
    """Make the sentences' embeddings of a findings model that brings none, so that no analysis has to wait for them."""
    if card.task != "findings" or any(file.role == "prompts" for file in card.weights):
        return
    from medfm_core.findings_model import load_sentences

    try:
        load_sentences(card, progress=_progress(args))
    except ResourceError as error:  # the files are there all the same
        print(f"medfm: the sentences of {card.id} cannot be prepared now: {error}", file=sys.stderr)


def take_in(args: argparse.Namespace) -> int:
    """Take a model's files from a folder, a zip or a file."""
    from medfm_core.hub.importing import import_card

    card = _card(args)
    _settle_licence(args, card)
    return _tell(args, card, "imported", str(import_card(card, args.given, _progress(args))))


def remove(args: argparse.Namespace) -> int:
    """Delete a model's fetched files."""
    from medfm_core.card_library import list_cards
    from medfm_core.hub.removing import remove_card

    card = _card(args)
    freed = remove_card(card, list_cards(), _progress(args))
    return _tell(args, card, "removed", f"{freed / 1e6:.1f} MB became free")


def licence(args: argparse.Namespace) -> int:
    """Show a model's licence, and accept it where that is asked for."""
    from medfm_core.hub.licences import accept, is_accepted, licence_text, needs_acceptance

    card, cache = _card(args), read_hub_settings().cache
    if args.accept_licence:
        accept(card, cache)
    state = "accepted" if is_accepted(card, cache) else "not accepted"
    if not needs_acceptance(card):
        state = "nothing to accept"
    if args.json:
        _event(args, id=card.id, state=state, licence=card.licence, terms=card.terms, licence_url=card.licence_url)
    else:
        print(f"{licence_text(card)}\nState: {state}")
    return 0


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "pull": pull,
    "import": take_in,
    "remove": remove,
    "licence": licence,
}


def _card(args: argparse.Namespace) -> ModelCard:
    from medfm_core.card_library import load_card

    return load_card(args.model)


def _settle_licence(args: argparse.Namespace, card: ModelCard) -> None:
    """Show the licence, and ask for its acceptance where it is needed and somebody is there to ask."""
    from medfm_core.hub.licences import accept, is_accepted, licence_text

    cache = read_hub_settings().cache
    if card.source.kind != "hub":
        return
    if not args.quiet and not args.json:
        print(licence_text(card), file=sys.stderr)
    if is_accepted(card, cache):
        return
    if args.accept_licence or _agrees(args):
        accept(card, cache)


def _agrees(args: argparse.Namespace) -> bool:
    if args.json or args.quiet or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False  # check_accepted says what to do
    print("Do you accept this licence? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("the licence was not accepted and nothing was fetched", "choose another model")
    return True


def _progress(args: argparse.Namespace) -> progress.Progress:
    if args.json:
        return progress.JsonLines()
    return progress.Silent() if args.quiet else progress.RichProgress()


def _tell(args: argparse.Namespace, card: ModelCard, state: str, detail: str) -> int:
    if args.json:
        _event(args, id=card.id, state=state, detail=detail)
    elif not args.quiet:
        print(f"{card.id}: {state} ({detail})")
    return 0


def _event(args: argparse.Namespace, **fields: object) -> None:
    progress.JsonLines().event("model", **fields)
