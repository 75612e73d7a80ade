"""`medfm findings`: what MedFM can look for, in which organs, and with which words."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from medfm_core.commands import common
from medfm_core.commands.tables import print_table
from medfm_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medfm_core.anatomy import FindingKind

NAME = "findings"
HELP = "list or show the findings that can be looked for"
ABOUT = (
    "Show the catalogue of findings. A finding is looked for in its organs by comparing them with sentences that say "
    "that it is there and with sentences that say that it is not; `show` prints those sentences. That a finding is in "
    "the catalogue does not mean that a model tells it well: how well it does stands in the model's card."
)
EPILOG = """examples:
  medfm findings list                         all findings
  medfm findings list --organ liver           those of one organ (or group: lung, kidney, spine ...)
  medfm findings show hepatic_steatosis       its sentences, organs, codes, contrast phases and limits
  medfm findings list --json                  one object per line, everything about each finding

columns of the list:
  Scored    whole: one score for each organ named; part: one for each kidney, lobe, vertebra ... by itself
  Phases    contrast phases in which it shows; empty: all, also without contrast"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="default: list")
    parser.add_argument("finding", nargs="?", metavar="NAME", help="the finding to show, e.g. hepatic_steatosis")
    parser.add_argument("--organ", metavar="ORGAN", help="list only what is looked for in this organ, e.g. liver")
    parser.add_argument("--json", action="store_true", help="one JSON object per line on standard output, for programs")
    parser.set_defaults(check=_check)


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    return {"list": _list, "show": _show}[args.action](args)


def _check(args: argparse.Namespace) -> None:
    if args.action == "show" and not args.finding:
        raise argparse.ArgumentTypeError("the NAME of the finding to show is missing")
    if args.action == "show" and args.organ:
        raise argparse.ArgumentTypeError("--organ goes with list, not with show")
    if args.action == "list" and args.finding:
        raise argparse.ArgumentTypeError(f"list takes no NAME; to see {args.finding!r} use show")


def _list(args: argparse.Namespace) -> int:
    from medfm_core.anatomy import load_findings

    catalogue = load_findings()
    findings = catalogue.of_organ(args.organ) if args.organ else catalogue.findings
    if not findings:
        raise InputError(f"no finding is looked for in {args.organ!r}", "see `medfm findings list` for all")
    if args.json:
        _tell(findings)
        return 0
    rows = [(f.name, ", ".join(f.organs), f.scope, ", ".join(f.phases)) for f in findings]
    print_table(("Name", "Organs", "Scored", "Phases"), rows)
    return 0


def _show(args: argparse.Namespace) -> int:
    from medfm_core.anatomy import load_findings

    finding = load_findings().by_name(args.finding)
    if args.json:
        _tell((finding,))
        return 0
    common.print_facts(_facts(finding))
    return 0


def _facts(finding: FindingKind) -> list[tuple[str, str | tuple[str, ...]]]:
    scored = "each part by itself" if finding.scope == "part" else "each organ as a whole"
    facts = [
        ("finding", finding.name),
        ("label", finding.label),
        ("organs", ", ".join(finding.organs)),
        ("scored", scored),
        ("phases", ", ".join(finding.phases) or "all, also without contrast"),
        ("present", finding.positive),
        ("absent", finding.negative),
        ("codes", tuple(f"{scheme} {value}" for scheme, value in finding.codes.items())),
        ("benchmarks", tuple(f"{name}: {column}" for name, column in finding.benchmarks.items())),
        ("limits", finding.notes),
    ]
    return [(label, value) for label, value in facts if value]


def _tell(findings: Iterable[FindingKind]) -> None:
    from medfm_core.progress import JsonLines
    from medfm_core.strict import to_dict

    lines = JsonLines()
    for finding in findings:
        lines.event("finding", **to_dict(finding, defaults=True))
