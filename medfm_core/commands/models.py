"""`medfm models`: which models there are, what they are worth, and whether their files are whole."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from medfm_core.commands import common
from medfm_core.errors import WeightsError

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard

NAME = "models"
HELP = "list, show or verify the models"
ABOUT = (
    "Show the models that MedFM knows. A model's card says what it covers, how good it is and what it may be used for."
)
EPILOG = """examples:
  medfm models list
  medfm models show organ-segmenter-tiny.v2
  medfm models verify                         check the size and sha256 of every weights file"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("list", "show", "verify"), default="list", help="default: list")
    parser.add_argument("model", nargs="?", metavar="ID", help="the model to show or verify (verify: default all)")
    common.add_output(parser)
    parser.set_defaults(check=_check)


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    return {"list": _list, "show": _show, "verify": _verify}[args.action](args)


def _check(args: argparse.Namespace) -> None:
    if args.action == "show" and not args.model:
        raise argparse.ArgumentTypeError("the ID of the model to show is missing")


def _list(args: argparse.Namespace) -> int:
    from medfm_core.cards import list_cards

    cards = list_cards()
    if args.json:
        for card in cards:
            _event("model", id=card.id, task=card.task, title=card.title, licence=card.licence, default=card.default)
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("ID", "Task", "Where", "MB", "Licence"):
        table.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    for card in cards:
        size = sum(file.bytes for file in card.weights) / 1e6
        table.add_row(card.id, card.task.replace("_", " "), card.source.kind, f"{size:.1f}", card.licence)
    Console(highlight=False, markup=False).print(table)
    return 0


def _show(args: argparse.Namespace) -> int:
    from medfm_core.cards import load_card
    from medfm_core.strict import to_dict

    card = load_card(args.model)
    if args.json:
        _event("model", card=to_dict(card), card_sha256=card.digest)
        return 0
    for label, value in _facts(card):
        lines = [value] if isinstance(value, str) else list(value)
        for index, line in enumerate(lines):
            print(f"{label if index == 0 else '':<14}{line}")
    return 0


def _facts(card: ModelCard) -> list[tuple[str, str | tuple[str, ...]]]:
    size = sum(file.bytes for file in card.weights) / 1e6
    spacing = " x ".join(f"{s:g}" for s in card.input.spacing_mm or ()) or "as it is"
    facts = [
        ("model", card.id),
        ("title", card.title),
        ("summary", card.summary),
        ("task", card.task.replace("_", " ")),
        ("use", card.intended_use),
        ("licence", card.licence),
        ("weights", f"{size:.1f} MB, {card.source.kind}"),
        ("input", f"{' or '.join(card.input.modality)} at {spacing} mm"),
        ("covers", ", ".join(card.classes)),
        ("trained on", card.trained_on),
        ("limits", card.limits),
    ]
    for measured in card.measured:
        figures = sorted(measured.values.items(), key=lambda item: -item[1])
        facts.append((measured.metric, (measured.on, *(f"  {value:6.3f}  {name}" for name, value in figures))))
    return [(label, value) for label, value in facts if value]


def _verify(args: argparse.Namespace) -> int:
    from medfm_core.cards import list_cards, load_card

    cards = (load_card(args.model),) if args.model else list_cards()
    code = 0
    for card in cards:
        state, detail = "whole", ""
        if card.source.kind == "hub" and not args.model:
            state, detail = "not fetched", "its files are on the hub"
        else:
            try:
                card.verify()
            except WeightsError as error:
                state, detail, code = "damaged", str(error), error.exit_code
        if args.json:
            _event("model", id=card.id, state=state, detail=detail)
        elif state == "damaged":
            print(f"medfm: {detail}", file=sys.stderr)
        elif not args.quiet:
            print(f"{card.id}: {state}{f' ({detail})' if detail else ''}")
    return code


def _event(event: str, **fields: object) -> None:
    from medfm_core.progress import JsonLines

    JsonLines().event(event, **fields)
