"""`python -m training.evaluate_findings`: zero-shot findings of trained encoders on a cohort, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import RichProgress
from training.command import command, parser_of

EPILOG = """examples:
  how well a run tells findings of virtual patients that it has not seen:
    python -m training.synthesize --out test --count 200 --seed 300000
    python -m training.prepare --manifest test/manifest.csv --store store \\
        --input training/inputs/totalfm-tiny.yaml --preparation organ_ct
    python -m training.evaluate_findings --run full=runs/tiny-contrast-again --random --manifest test/manifest.csv \\
        --statements test/statements.jsonl --store store --out figures.json
  thresholds for the card, from other patients:
    python -m training.evaluate_findings --run full=runs/tiny-contrast-again --manifest val/manifest.csv \\
        --statements val/statements.jsonl --store store --calibrate calibration.json --out val.json
Scores come from the catalogue's wordings; a run with data.wordings has seen those in training. Intervals resample
patients; cases are organs, as in `medfm analyze`. A finding that fewer than --fewest organs have, or have not, is
listed but not part of the mean.
"""


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Score a cohort with every run and return the figures, by run.

    Raises:
        InputError: a run, the cohort or the findings cannot be used.
    """
    from training.evaluation.zero_shot_figures import calibrate, figures_of
    from training.evaluation.zero_shot_runs import cohort_for, random_run, read_run, score

    runs = dict(_named(text) for text in options.run)
    if options.random:
        runs["random weights"] = None
    first = next(path for path in runs.values() if path is not None)
    results: dict[str, Any] = {}
    for name, path in runs.items():
        run = random_run(first) if path is None else read_run(path, options.which)
        source = cohort_for(run, options.manifest, options.statements, options.store)
        found = score(source, run, options.text, RichProgress())
        words = options.on or f"{len(found.subjects)} studies of {options.manifest.parent.name}"
        figures = figures_of(found, options.fewest, options.resamples)
        results[name] = {"on": words, "studies": len(found.subjects), **figures}
        if options.calibrate and path == first:
            thresholds = calibrate(found, options.fewest, words)
            atomic_text(options.calibrate, json.dumps(thresholds, indent=1) + "\n")
    return results


def table(results: dict[str, Any]) -> str:
    """The mean of every run, and all findings of the first, as Markdown."""
    lines = ["| encoder | findings | mean AUROC | 95 % interval |", "|---|---|---|---|"]
    for name, result in results.items():
        mean = result["mean"]
        if mean["auroc"] is None:
            lines.append(f"| {name} | 0 | - | - |")
            continue
        interval = "-" if mean["low"] is None else f"{mean['low']:.3f} to {mean['high']:.3f}"
        lines.append(f"| {name} | {mean['findings']} | {mean['auroc']:.3f} | {interval} |")
    names = list(results)
    lines += ["", "| finding | with | without | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    firsts = results[names[0]]["findings"]
    for finding, entry in sorted(firsts.items(), key=lambda pair: -(pair[1]["auroc"] or 0)):
        cells = [_cell(results[name]["findings"].get(finding)) for name in names]
        lines.append(f"| {finding} | {entry['positives']} | {entry['negatives']} | {' | '.join(cells)} |")
    return "\n".join(lines)


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    results = evaluate(options)
    if options.out:
        atomic_text(options.out, json.dumps(results, indent=1) + "\n")
    print(table(results))
    return 0


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None or entry["auroc"] is None:
        return "-"
    return f"{entry['auroc']:.2f}" if entry["counted"] else f"({entry['auroc']:.2f})"


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.rpartition("=")
    if not path:
        raise InputError(f"--run {text!r} names no folder", "give NAME=FOLDER")
    return name or Path(path).name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "evaluate_findings",
        "Measure zero-shot findings of runs of the objective `contrastive` on a cohort with known truth.",
        EPILOG,
    )
    add = parser.add_argument
    add("--run", action="extend", nargs="+", required=True, metavar="NAME=FOLDER", help="runs of training.pretrain")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the runs (default: last)")
    add("--random", action="store_true", help="beside them an encoder with random weights")
    add("--manifest", type=Path, required=True, help="table of the cohort's volumes")
    add("--statements", type=Path, required=True, help="what is true of them (JSON Lines)")
    add("--store", required=True, help="folder that training.prepare filled")
    add("--text", help="text tower (default: the one of the run)")
    add("--fewest", type=int, default=3, help="organs with and without a finding that it needs to count (default: 3)")
    add("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    add("--on", help="what the cohort is, in words, for the card (default: number of studies and the folder's name)")
    add("--calibrate", type=Path, help="write thresholds for the first run's card to this JSON file")
    add("--out", type=Path, help="write all figures to this JSON file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
