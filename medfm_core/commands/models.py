"""`medfm models`: which models there are, what they are worth, whether their files are whole, and fetching them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.commands import common, models_hub
from medfm_core.commands.tables import print_table
from medfm_core.errors import WeightsError
from medfm_core.settings import read_hub_settings

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard

NAME = "models"
HELP = "list, show, fetch, verify or remove the models"
ABOUT = (
    "Show the models that MedFM knows. A model's card says what it covers, how good it is and what it may be used for. "
    "Models of the Hugging Face Hub are fetched once into a folder that all programs of the user share."
)
EPILOG = """examples:
  medfm models list
  medfm models show organ-segmenter-tiny.v2
  medfm models verify                         check the size and sha256 of every weights file
  medfm models licence ID                     what must be accepted before the first fetch?
  medfm models pull ID --accept-licence       fetch its files from the hub
  medfm models import ID FOLDER               take its files from a folder, a zip or a file: no network
  medfm models remove ID                      delete its fetched files

environment: MEDFM_CACHE where files go, MEDFM_OFFLINE=1 no connection, HF_TOKEN for gated models, HF_ENDPOINT a mirror,
HTTPS_PROXY a proxy, SSL_CERT_FILE your certificate authorities"""
_PER_ROW = 5
ACTIONS = ("list", "show", "pull", "import", "verify", "remove", "licence")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="default: list")
    parser.add_argument("model", nargs="?", metavar="ID", help="the model; all of them for list and verify")
    parser.add_argument("given", nargs="?", metavar="PATH", type=Path, help="import: folder, zip or file to take from")
    parser.add_argument("--accept-licence", action="store_true", help="you have read and accept the model's licence")
    common.add_output(parser)
    parser.set_defaults(check=_check)


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    here = {"list": _list, "show": _show, "verify": _verify}
    return (here.get(args.action) or models_hub.ACTIONS[args.action])(args)


def _check(args: argparse.Namespace) -> None:
    if args.action not in ("list", "verify") and not args.model:
        raise argparse.ArgumentTypeError(f"the ID of the model to {args.action} is missing")
    if (args.action == "import") != (args.given is not None):
        raise argparse.ArgumentTypeError(
            "the PATH to import from is missing" if args.given is None else f"cannot use {str(args.given)!r}"
        )


def _list(args: argparse.Namespace) -> int:
    from medfm_core.card_library import list_cards

    cards = list_cards()
    if args.json:
        for card in cards:
            _event(
                "model",
                id=card.id,
                task=card.task,
                title=card.title,
                licence=card.licence,
                default=card.default,
                place=_place(card),
                bytes=_bytes(card),
            )
        return 0
    rows = [(c.id, c.task.replace("_", " "), _place(c), _megabytes(c), c.licence) for c in cards]
    print_table(("ID", "Task", "Where", "MB", "Licence"), rows, right=("MB",))
    if not args.quiet and any(card.source.kind == "hub" for card in cards):
        print(f"Fetched files lie in {read_hub_settings().cache}.")
    return 0


def _place(card: ModelCard) -> str:
    """Where its files are: shipped, in a file, on the hub, fetched from it; or a program, installed or not."""
    if card.source.kind == "package":
        from medfm_core.total_segmentator import find_command

        return "installed" if find_command() else "not installed"
    if card.source.kind != "hub":
        return card.source.kind
    from medfm_core.hub.present import is_fetched

    return "fetched" if is_fetched(card) else "hub"


def _bytes(card: ModelCard) -> int | None:
    """Size of all its files; None where the card does not state it."""
    sizes = [file.bytes for file in card.weights]
    return None if None in sizes or not sizes else sum(size for size in sizes if size is not None)


def _megabytes(card: ModelCard) -> str:
    size = _bytes(card)
    if size is None and card.needs.disk_gb is not None:
        return f"~{card.needs.disk_gb * 1e3:.0f}"
    return "?" if size is None else f"{size / 1e6:.1f}"


def _show(args: argparse.Namespace) -> int:
    from medfm_core.card_library import load_card
    from medfm_core.strict import to_dict

    card = load_card(args.model)
    if args.json:
        _event("model", card=to_dict(card), card_sha256=card.digest)
        return 0
    common.print_facts(_facts(card))
    return 0


def _facts(card: ModelCard) -> list[tuple[str, str | tuple[str, ...]]]:
    facts = [
        ("model", card.id),
        ("title", card.title),
        ("summary", card.summary),
        ("task", card.task.replace("_", " ")),
        ("use", card.intended_use),
        ("licence", card.licence),
        ("weights", f"{_megabytes(card)} MB, {_place(card)}" if card.weights else f"the program's own, {_place(card)}"),
        ("from", card.source.repo or (f"the program {card.source.package}" if card.source.package else "")),
        ("revision", card.source.revision or ("pinned at the first fetch" if card.source.kind == "hub" else "")),
        ("access", card.source.access or ""),
        ("terms", card.terms or ""),
        ("input", _input(card)),
        ("memory", "" if card.needs.ram_gb is None else f"{card.needs.ram_gb:g} GB for a chest of usual size"),
        ("covers", ", ".join(card.classes)),
        *_finding_facts(card),
        ("trained on", card.trained_on),
        ("limits", card.limits),
    ]
    for measured in card.measured:
        figures = sorted(measured.values.items(), key=lambda item: -item[1])
        facts.append((measured.metric, (measured.on, *(f"  {value:6.3f}  {name}" for name, value in figures))))
    return [(label, value) for label, value in facts if value]


def _input(card: ModelCard) -> str:
    """What the model looks at, in a few words."""
    made = sorted({source.card for source in card.input.body.values() if source.card})
    if card.input.body:
        organs = ", ".join(card.input.body)
        return f"{organs}, as vectors of {' and '.join(made)}" if made else f"{organs}, as measurements"
    spacing = " x ".join(f"{s:g}" for s in card.input.spacing_mm or ())
    return f"{' or '.join(card.input.modality)} {f'at {spacing} mm' if spacing else 'as it is'}"


def _finding_facts(card: ModelCard) -> list[tuple[str, tuple[str, ...]]]:
    """Which findings a model calls present or absent and from which scores on, and which it scores and no more."""
    if card.task != "findings":
        return []
    from medfm_core.own_prompts import asked_findings

    calibrated = []
    for name, bounds in card.findings.items():
        told = "" if bounds.auroc is None else f"  AUROC {bounds.auroc:.2f}"
        calibrated.append(
            f"{name:<32} absent below {bounds.absent_below:.2f}, present from {bounds.present_above:.2f}{told}"
        )
    others = tuple(kind.name for kind in asked_findings(card) if kind.name not in card.findings)
    listed = tuple(", ".join(others[row : row + _PER_ROW]) for row in range(0, len(others), _PER_ROW))
    return [
        ("calibrated", tuple(calibrated) or ("none: scores are shown and nothing is called present or absent",)),
        ("scored only", listed),
    ]


def _verify(args: argparse.Namespace) -> int:
    from medfm_core.card_library import list_cards, load_card

    cards = (load_card(args.model),) if args.model else list_cards()
    code = 0
    for card in cards:
        state, detail = "whole", ""
        if card.source.kind == "hub" and not args.model and not _is_here(card):
            state, detail = "not fetched", "its files are on the hub"
        elif card.source.kind == "package":
            state, detail = _place(card), f"the program {card.source.package} keeps its own weights"
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


def _is_here(card: ModelCard) -> bool:
    """Whether anything of it was fetched."""
    try:
        return card.root().is_dir()
    except WeightsError:
        return False


def _event(event: str, **fields: object) -> None:
    from medfm_core.progress import JsonLines

    JsonLines().event(event, **fields)
