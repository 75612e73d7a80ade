"""`python -m training.fuse`: what the scans of a study tell together, and what is left when some are missing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.progress import Progress, RichProgress
from training.command import command, parser_of
from training.probe_parts import add_encoding, add_inputs, device_of, frozen_features, request_of

if TYPE_CHECKING:
    from training.evaluation.fusion_study import FusionRow, FusionStudy
    from training.evaluation.report import Report
    from training.evaluation.study_scans import StudyScans

LEAST_STEPS = 100  # of 16 studies each
FUSIONS = ("average", "late", "mil", "product", "product_joint")

EXAMPLES = """examples:
  is there a lesion? from T1w, T2w and FLAIR, by a product of experts:
    python -m training.fuse --card neuro-jepa-mini.v2 --manifest brains/manifest.csv --store brain-store \\
        --target lesion --out fused
  four fusions side by side, tokens kept for the next time:
    ... --fusion average mil product product_joint --cache features
  two sequences that look at each other; the best figure is asked for first:
    ... --fusion late --sequence T1w FLAIR --metric auprc auroc
  a run of your own, two thirds of the studies of a step lacking something while the fusion is trained:
    python -m training.fuse --run runs/brains --manifest cohort.csv --store store --target diagnosis --dropped 0.67 \\
        --out fused

A study is what has the same `subject` and `study` in the manifest; its scans are told apart by `sequence` (or by
modality, where that is empty). The target is a column of classes that is the same for all scans of a study. The encoder
is frozen. Fusions learn from the split train, the best epoch is chosen on val, and test judges them:

  average        a linear layer per sequence on its mean token; the mean of their answers
  late           two sequences look at each other by cross-attention; a gate mixes them
  mil            gated attention over the tokens of all sequences, for each class
  product        an attentive head per sequence; the product of their probabilities
  product_joint  the same with one more head that looks at all tokens

The table has a line for all sequences and for every set of them that is left when some are missing, on the same test
studies (those that have all), with 95 % intervals over subjects; beside single ones a linear probe that learnt from
that sequence alone. What is missing is never looked at. Where test studies lack sequences, one more line judges all of
them with what they have.

what --out holds:
  fusion.md         the table, and what all scans add to each set
  metrics.json      every figure with its interval, seeds, counts, the encoder and how fusions were trained
  metrics.png       the first figure of each line
  predictions.csv   what every model said of each test study, with what it was given
"""


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    studies, rows, study, report = _run(options, RichProgress())
    from training.evaluation.fusion_page import page

    text = page(studies, rows, study)
    _write(studies, rows, (report, text), options.out)
    print(text)
    print(f"fusion.md, metrics.json, metrics.png and predictions.csv are in {options.out}")
    return 0


def _run(
    options: argparse.Namespace, progress: Progress
) -> tuple[StudyScans, tuple[FusionRow, ...], FusionStudy, Report]:
    from training.evaluation.describe import versions
    from training.evaluation.fusion_page import report_of
    from training.evaluation.fusion_study import check_study, run_fusion_study
    from training.evaluation.probe_inputs import open_inputs
    from training.evaluation.study_scans import group_scans

    study = _study(options)
    inputs = open_inputs(request_of(options, [options.target]))
    studies = group_scans(inputs.cohort, inputs.sequences, options.sequence)
    check_study(studies, study)
    features, untrained = frozen_features(inputs, "tokens", options, progress)
    rows = run_fusion_study(studies, features, study, untrained, progress)
    report = report_of(studies, rows, study)
    details = {**report.details, "encoder": dict(inputs.described), "made_by": versions()}
    return studies, rows, study, replace(report, details=details)


def _study(options: argparse.Namespace) -> FusionStudy:
    from training.evaluation.bootstrap import BootstrapPlan
    from training.evaluation.fusion_probe import FusionPlan
    from training.evaluation.fusion_study import FusionStudy

    plan = FusionPlan(
        epochs=options.epochs, least_steps=LEAST_STEPS, dropped=options.dropped, device=device_of(options.device)
    )  # fmt: skip
    fusions, metrics = (tuple(dict.fromkeys(names)) for names in (options.fusion, options.metric))
    intervals = BootstrapPlan(resamples=options.resamples)
    return FusionStudy(fusions, plan, options.lr, options.seeds, metrics, intervals)


def _write(studies: StudyScans, rows: Sequence[FusionRow], made: tuple[Report, str], out: Path) -> None:
    """Write all files, or none."""
    from medfm_core.io.atomic import atomic_text
    from medfm_core.results_folder import results_folder
    from training.evaluation.fusion_page import write_answers
    from training.evaluation.plots import draw_report
    from training.evaluation.report import write_json

    report, text = made
    with results_folder(out, overwrite=True) as folder:
        atomic_text(folder / "fusion.md", text)
        write_answers(folder / "predictions.csv", studies, rows)
        write_json(report, folder / "metrics.json")
        draw_report(report, folder / "metrics.png", rows[0].figures[0].metric)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("fuse", __doc__, EXAMPLES)
    add_inputs(parser)
    add = parser.add_argument
    add("--target", required=True, metavar="NAME", help="target column of classes, without 'target.'")
    add("--fusion", nargs="+", choices=FUSIONS, default=["product"], help="one or several (default: product)")
    add("--sequence", nargs="+", default=[], metavar="NAME", help="those to use (default: all of the manifest)")
    add("--dropped", type=float, default=0.2, metavar="SHARE",
        help="of the studies of a training step that lose some of their sequences (default: 0.2)")  # fmt: skip
    add("--epochs", type=int, default=20, help=f"passes over the training studies, at least {LEAST_STEPS} steps "
        "(default: 20)")  # fmt: skip
    add("--lr", type=float, help="peak learning rate (default: 0.05 for average, 0.001 for the others)")
    add("--seeds", type=int, default=3, help="trainings of each fusion; figures are means (default: 3)")
    add("--metric", nargs="+", default=["auroc", "auprc", "balanced_accuracy"], metavar="NAME",
        help="figures to report; the first one is in the table (default: auroc auprc balanced_accuracy)")  # fmt: skip
    add_encoding(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
