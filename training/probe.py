"""`python -m training.probe`: what frozen features tell of a target, from all labels and from few."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.errors import InputError, MedFMError
from medfm_core.progress import Progress, RichProgress
from training.probe_parts import add_encoding, add_inputs, device_of, frozen_features, request_of

if TYPE_CHECKING:
    from training.evaluation.probe_inputs import ProbeInputs, ProbeRequest
    from training.evaluation.probing import ProbeStudy, StudyResult
    from training.evaluation.report import Report

EXAMPLES = """examples:
  is there a lesion? from a run's last checkpoint, with all labels and with 1, 5 and 16 per class:
    python -m training.probe --run runs/videomae --manifest cohort.csv --store store --target lesion \\
        --few-shot 1,5,16 --out probe
  all finding columns at once, by an attentive head on the tokens:
    python -m training.probe --run runs/videomae --manifest cohort.csv --store store --target 'finding_*' \\
        --kind attentive --out probe
  organs, from the manifest's label maps, by a voxel decoder on the tokens:
    python -m training.probe --run runs/videomae --manifest cohort.csv --store store --task segmentation \\
        --target liver 'kidney_*' --save-labels --out probe
  age, from the weights of a model card:
    python -m training.probe --card CARD --manifest cohort.csv --store store --target age --out probe
  who dies earlier? from the manifest's columns time.death and event.death:
    python -m training.probe --card CARD --manifest cohort.csv --store store --task survival --target death --out probe
  several scans of a study together: see python -m training.fuse --help

A target NAME is the manifest's column target.NAME; of a survival task it is the pair time.NAME (until the event, or
until nobody looked any more; any unit, above 0) and event.NAME (1: it happened), both empty where not known. Then
log hazards are linear in the features, and the concordance index says how often the one of two who has the event first
has the higher hazard.

Probes learn from the split train, choose their regularisation on val (or on inner folds) and are judged on test, with
95 % intervals over subjects. Beside them stand the same encoder with random weights and the training frequencies.

what --out holds:
  predictions.csv   subject, study, split, target and prediction of every item of val and test (probe on all labels);
                    of a survival task time, event and log hazard
  metrics.json      every figure with its interval, number of items and subjects, seeds and baselines
  metrics.png       the first figure, and its course over the shots
  of a segmentation, predictions.csv has the Dice of each volume and structure, runs/ the trained decoders, and labels/
  the segmentations where --save-labels asks for them
"""


def main(arguments: list[str] | None = None, open_inputs: Callable[[ProbeRequest], ProbeInputs] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; by default those of the process.
        open_inputs: finds encoder and data; by default `training.evaluation.probe_inputs.open_inputs`.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        report = _run(options, open_inputs, RichProgress())
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 130
    if report is None:
        print("stopped; the same command goes on from here")
        return 143
    from training.evaluation.report import print_report

    print_report(report)
    print(f"predictions.csv, metrics.json and metrics.png are in {options.out}")
    return 0


def _run(
    options: argparse.Namespace, open_inputs: Callable[..., ProbeInputs] | None, progress: Progress
) -> Report | None:
    from training.evaluation.describe import versions
    from training.evaluation.probe_inputs import NEEDS
    from training.evaluation.probe_inputs import open_inputs as open_volumes
    from training.evaluation.probing import refuse_task, run_study

    request = request_of(options, options.target, options.task)
    if options.task == "segmentation":
        return _segment(options, request, progress)
    if options.save_labels or not options.target:
        raise InputError(*NEEDS[not options.target])
    study = _study(options)
    refuse_task(options.task, study)
    inputs = (open_inputs or open_volumes)(request)
    kind = "pooled" if options.kind == "linear" else "tokens"
    features, untrained = frozen_features(inputs, kind, options, progress)
    result = run_study(inputs.cohort, features, study, untrained, progress)
    details = {**result.report.details, "encoder": dict(inputs.described), "made_by": versions()}
    result = replace(result, report=replace(result.report, details=details))
    _write(result, inputs, options.out)
    return result.report


def _segment(options: argparse.Namespace, request: ProbeRequest, progress: Progress) -> Report | None:
    from training.evaluation.segmentation_command import SegmentationOrder, probe_segmentation

    if options.few_shot or options.metric:
        raise InputError("--few-shot and --metric are not for a segmentation", "leave them out")
    order = SegmentationOrder(request, options.out, options.save_labels, options.resamples, options.steps)
    run = ["--run.device", device_of(options.device), "--run.workers", str(options.workers)]
    return probe_segmentation(order, run, not options.no_random, progress)


def _study(options: argparse.Namespace) -> ProbeStudy:
    from training.evaluation.bootstrap import BootstrapPlan
    from training.evaluation.probing import ProbeStudy

    try:
        shots = tuple(int(part) for part in options.few_shot.split(",") if part.strip())
    except ValueError as problem:
        raise InputError(f"--few-shot {options.few_shot!r} is no list of numbers", "write such as 1,5,16") from problem
    intervals = BootstrapPlan(resamples=options.resamples)
    return ProbeStudy(options.kind, shots, options.seeds, tuple(options.metric), intervals)


def _write(result: StudyResult, inputs: ProbeInputs, out: Path) -> None:
    """Write all files, or none."""
    from medfm_core.results_folder import results_folder
    from training.evaluation.plots import draw_report
    from training.evaluation.predict import write_predictions
    from training.evaluation.report import write_json

    with results_folder(out, overwrite=True) as folder:
        write_predictions(folder / "predictions.csv", inputs.cohort, result.rows, result.predictions)
        write_json(result.report, folder / "metrics.json")
        draw_report(result.report, folder / "metrics.png", result.report.rows[0].figures[0].metric)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.probe",
        description="Probe frozen features: fit a linear or attentive model on them and judge it on held-out subjects.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_inputs(parser)
    add = parser.add_argument
    add("--target", nargs="+", default=[], metavar="NAME",
        help="target column without 'target.', or a pattern such as 'finding_*'; several are labels. Of a survival "
        "task the NAME of time.NAME and event.NAME, of a segmentation structures of the label maps (default: all that "
        "the training volumes show)")  # fmt: skip
    add("--task", choices=("classification", "multi_label", "regression", "survival", "segmentation"),
        help="default: what the column holds; survival tells who has an event earlier; segmentation learns the "
        "manifest's label maps")  # fmt: skip
    add("--save-labels", action="store_true", help="write the segmentations, each on the grid of its input")
    add("--steps", type=int, default=200, help="of training a segmentation's decoder (default: 200)")
    add("--kind", choices=("linear", "attentive"), default="linear",
        help="kind of probe (default: linear); a segmentation has a voxel decoder instead")  # fmt: skip
    add("--few-shot", default="", metavar="K,K", help="labelled examples per class to learn from, such as 1,5,16")
    add("--seeds", type=int, default=5, help="draws of few-shot subsets and of attentive heads (default: 5)")
    add("--metric", nargs="+", default=[], metavar="NAME", help="figures to report, the first one for few shots")
    add_encoding(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
