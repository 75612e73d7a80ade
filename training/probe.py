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

if TYPE_CHECKING:
    from torch import Tensor

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

A target NAME is the manifest's column target.NAME. Probes learn from the split train, choose their regularisation on
val (or on inner folds) and are judged on test, with 95 % intervals over subjects. Beside them stand the same encoder
with random weights and the training frequencies.

what --out holds:
  predictions.csv   subject, study, split, target and prediction of every item of val and test (probe on all labels)
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
    from training.evaluation.probe_inputs import NEEDS, ProbeRequest
    from training.evaluation.probe_inputs import open_inputs as open_volumes
    from training.evaluation.probing import run_study

    request = ProbeRequest(
        options.run, options.card, options.manifest, options.store, tuple(options.target), options.task,
        options.which, options.crop and tuple(options.crop), options.prepared_for,
    )  # fmt: skip
    if options.task == "segmentation":
        return _segment(options, request, progress)
    if options.save_labels or not options.target:
        raise InputError(*NEEDS[not options.target])
    study = _study(options)
    inputs = (open_inputs or open_volumes)(request)
    features, untrained = _features(inputs, options, progress)
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
    run = ["--run.device", _device(options.device), "--run.workers", str(options.workers)]
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


def _features(inputs: ProbeInputs, options: argparse.Namespace, progress: Progress) -> tuple[Tensor, Tensor | None]:
    """Features of the encoder, and of one with random weights."""
    from training.evaluation.encoders import randomised
    from training.evaluation.feature_cache import FeatureCache
    from training.evaluation.features import Extraction, extract_features

    kind = "pooled" if options.kind == "linear" else "tokens"
    extraction = Extraction(kind, options.batch_size, _device(options.device), workers=options.workers)
    index = {"subject": inputs.cohort.subjects, "study": inputs.cohort.studies}
    cache = None if options.cache is None else FeatureCache(options.cache, index)
    features = extract_features(inputs.encoder, inputs.source, extraction, cache, progress)
    if options.no_random:
        return features, None
    progress.message("Now the same encoder with random weights")
    untrained = randomised(inputs.encoder, seed=0)
    return features, extract_features(untrained, inputs.source, extraction, cache, progress)


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


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("this machine has no usable CUDA device", "use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.probe",
        description="Probe frozen features: fit a linear or attentive model on them and judge it on held-out subjects.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--run", type=Path, help="folder of a run of training.pretrain, or one of its checkpoints")
    encoder.add_argument("--card", help="id of an installed model card, or the path of a card's file")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the run (default: last)")
    add("--manifest", type=Path, required=True, help="list of the volumes, with columns target.NAME")
    add("--store", required=True, help="folder (or shards) that training.prepare filled")
    add("--target", nargs="+", default=[], metavar="NAME",
        help="target column without 'target.', or a pattern such as 'finding_*'; several are labels. Of a "
        "segmentation, structures of the label maps (default: all that the training volumes show)")  # fmt: skip
    add("--task", choices=("classification", "multi_label", "regression", "segmentation"),
        help="default: what the column holds; segmentation learns the manifest's label maps")  # fmt: skip
    add("--save-labels", action="store_true", help="write the segmentations, each on the grid of its input")
    add("--steps", type=int, default=200, help="of training a segmentation's decoder (default: 200)")
    add("--kind", choices=("linear", "attentive"), default="linear",
        help="kind of probe (default: linear); a segmentation has a voxel decoder instead")  # fmt: skip
    add("--few-shot", default="", metavar="K,K", help="labelled examples per class to learn from, such as 1,5,16")
    add("--seeds", type=int, default=5, help="draws of few-shot subsets and of attentive heads (default: 5)")
    add("--metric", nargs="+", default=[], metavar="NAME", help="figures to report, the first one for few shots")
    add("--resamples", type=int, default=1000, help="of subjects, for the intervals (default: 1000)")
    add("--no-random", action="store_true", help="leave out the baseline of random weights")
    add("--crop", type=int, nargs=3, metavar=("D", "H", "W"), help="voxels seen (default: as in training)")
    add("--prepared-for", metavar="CARD", help="card whose preparation the store holds, where the run does not say")
    add("--batch-size", type=int, default=8, help="volumes at once (default: 8)")
    add("--workers", type=int, default=0, help="processes that read volumes (default: 0)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the encoder runs (default: auto)")
    add("--cache", type=Path, help="folder to keep features in, so that the next probe starts at once")
    add("--out", type=Path, required=True, help="folder of the results; made if missing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
