"""`medfm similar`: the studies in a folder of results that are most like one."""

from __future__ import annotations

import argparse
import sys

from medfm_core.commands.tables import print_table

NAME = "similar"
HELP = "the studies in a folder of results that are most like one"
ABOUT = """Compare the embeddings of one result of `medfm analyze` with those of all results in a folder, and list the
nearest. An embedding is a vector that the findings model makes of an organ; what is compared is the cosine, 1 for equal
vectors. Without --organ the whole study is compared: the mean over its organs, so studies of the same part of the body
come first; with --whole-body it is the vector that a whole-body model made of all organs. Only embeddings that the same
model with the same weights made are compared; nothing is computed anew."""
EPILOG = """examples:
  medfm similar case1 --in results                        the 10 studies most like case1
  medfm similar case1 --in results --organ liver          those with the most similar liver
  medfm similar case1 --in results --organ kidney_left --top 3 --json

columns:
  Similarity  cosine, -1 to 1; compare ranks rather than values, since unlike organs may still have a high cosine
  Study       folder of the result, within the folder given by --in
  Organ       whether the organ is whole there, or cut by the border of the scan
  Shared      organ units that both studies have
Results without embeddings are not looked at; a damaged one is named on standard error and passed over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("result", metavar="RESULT", help="folder of results that `medfm analyze` wrote")
    parser.add_argument("--in", dest="folder", metavar="FOLDER", required=True, help="folder that holds other results")
    parser.add_argument("--organ", metavar="ORGAN", help="compare this organ unit only, e.g. liver")
    parser.add_argument("--whole-body", action="store_true", help="compare the vectors of a whole-body model")
    parser.add_argument("--top", metavar="N", type=_count, default=10, help="how many to list (default: 10)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line on standard output, for programs")
    parser.add_argument("--quiet", action="store_true", help="no warnings about damaged results")
    parser.set_defaults(check=lambda args: args)


def run(args: argparse.Namespace) -> int:
    """Search and list."""
    from medfm_core.similar import find_similar

    def warn(sentence: str) -> None:
        if not (args.quiet or args.json):
            print(f"warning: {sentence.rstrip('.')}.", file=sys.stderr)

    search = find_similar(
        args.result, args.folder, organ=args.organ, whole_body=args.whole_body, top=args.top, warn=warn
    )
    passed = {"other_model": search.other_model, "without_organ": search.without_organ, "broken": len(search.broken)}
    if args.json:
        from medfm_core.progress import JsonLines

        lines = JsonLines()
        for neighbour in search.neighbours:
            lines.event("neighbour", **vars(neighbour))
        lines.event("result", organ=args.organ, compared=search.compared, **passed, warnings=search.broken)
        return 0
    if search.neighbours:
        _print_table(search.neighbours, with_organ=args.organ is not None)
    else:
        print("No study in that folder can be compared; the one given is not compared with itself.")
    skipped = (
        (search.other_model, "made by another model"),
        (search.without_organ, f"without {_what(args)}"),
        (len(search.broken), "damaged"),
    )
    told = [f"{count} {what}" for count, what in skipped if count]
    if told and not args.quiet:
        print(f"{search.compared} compared; passed over: {', '.join(told)}.", file=sys.stderr)
    return 0


def _print_table(neighbours: list, with_organ: bool) -> None:
    rows = [(f"{n.similarity:.4f}", n.study, *((n.state,) if with_organ else ()), str(n.shared)) for n in neighbours]
    print_table(("Similarity", "Study", *(("Organ",) if with_organ else ()), "Shared"), rows)


def _what(args: argparse.Namespace) -> str:
    return "a vector of the whole body" if args.whole_body else args.organ or "organs"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)
