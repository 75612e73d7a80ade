"""`python -m training.finetune`: train an encoder and a head on a target, and judge them on held-out subjects."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.allocator import keep_freed_blocks
from medfm_core.errors import InputError, MedFMError
from medfm_core.progress import RichProgress

if TYPE_CHECKING:
    from training.engine.config import Recipe
    from training.evaluation.cohort import Cohort
    from training.evaluation.probe_inputs import ProbeInputs, ProbeRequest
    from training.evaluation.report import Report

EXAMPLES = """examples:
  the whole network, on one target:
    python -m training.finetune --run runs/videomae --manifest cohort.csv --store store --target lesion --out finetuned
  the head alone, attentive, with other values of the recipe:
    python -m training.finetune --run runs/videomae --manifest cohort.csv --store store --target age --out finetuned \\
        --head attentive --frozen --run.steps 300 --optim.lr 1e-3
  the same without pre-training, to compare with:
    ... --from-scratch
  organs, from the manifest's label maps, with the segmentations of val and test as NIfTI:
    python -m training.finetune --run runs/videomae --manifest cohort.csv --store store --task segmentation \\
        --target liver 'kidney_*' --save-labels --out finetuned

It learns from the split train and is judged on test. --out is a run folder of its own (checkpoints, log, plots) and
holds predictions.csv, metrics.json and metrics.png at the end (of a segmentation, predictions.csv has the Dice of each
volume and structure). A run that was stopped goes on by the same command."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    options, overrides = _parser().parse_known_args(arguments)
    keep_freed_blocks()
    try:
        report = _run(options, overrides)
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    if report is None:
        print("stopped; the same command goes on from here")
        return 143
    from training.evaluation.report import print_report

    print_report(report)
    print(f"predictions.csv, metrics.json and metrics.png are in {options.out}")
    return 0


def _run(options: argparse.Namespace, overrides: list[str]) -> Report | None:
    from training.engine.loop import train
    from training.evaluation.probe_inputs import NEEDS, ProbeRequest, open_inputs

    request = ProbeRequest(
        options.run, None, options.manifest, options.store, tuple(options.target), options.task,
        options.which, options.crop and tuple(options.crop), options.prepared_for,
    )  # fmt: skip
    if options.task == "segmentation":
        return _segment(options, overrides, request)
    if options.save_labels or not options.target:
        raise InputError(*NEEDS[not options.target])
    inputs = open_inputs(request)
    recipe = build_recipe(options, overrides, request, inputs)
    if train(recipe, options.out).stopped_by is not None:
        return None
    return _judge(options, inputs)


def _segment(options: argparse.Namespace, overrides: list[str], request: ProbeRequest) -> Report | None:
    from training.evaluation.segmentation_command import SegmentationOrder, finetune_segmentation

    order = SegmentationOrder(request, options.out, options.save_labels, options.resamples)
    return finetune_segmentation(order, overrides, options.frozen, options.from_scratch, RichProgress())


def build_recipe(
    options: argparse.Namespace, overrides: list[str], request: ProbeRequest, inputs: ProbeInputs
) -> Recipe:
    """The recipe of the fine-tuning: the encoder's model and data, and a head for the target."""
    from training.engine.config import override, recipe_from_data
    from training.evaluation.probe_inputs import volumes_data

    earlier = inputs.described["recipe"]
    whole = volumes_data(request, inputs.described)
    task = inputs.cohort.targets.task
    data = {
        **whole, "name": "target_volumes", "split": "train", "place": "random", "told": list(options.target),
        "task": task, "augment": earlier["data"].get("augment", "none"),
    }  # fmt: skip
    objective = {
        "name": "supervised", "task": task, "head": options.head, "frozen_encoder": options.frozen,
        **_outputs(inputs.cohort),
    }  # fmt: skip
    if not options.frozen:
        objective |= {"layer_decay": 0.75, "head_rate": 10.0}  # a fresh head must learn faster than what it reads
    run: dict[str, Any] = {"steps": 200, "batch_size": 8, "checkpoint_every": 100}
    if not options.from_scratch:
        run["start_from"] = str(options.run)
    optim = {"lr": 1e-3 if options.frozen else 3e-4, "warmup_steps": 20}
    plain = {"model": earlier["model"], "objective": objective, "data": data, "optim": optim, "run": run}
    return recipe_from_data(override(plain, overrides), "the fine-tuning")


def _outputs(cohort: Cohort) -> dict[str, Any]:
    """How many outputs the head has, and the scale of a quantity in the training subjects."""
    targets = cohort.targets
    if targets.task != "regression":
        return {"outputs": len(targets.names)}
    known = targets.values[cohort.rows("train")]
    if len(known) < 2 or float(known.std()) == 0:
        raise InputError(f"the target {targets.name!r} does not vary in the training subjects", "choose another target")
    return {"outputs": 1, "target_mean": float(known.mean()), "target_deviation": float(known.std())}


def _judge(options: argparse.Namespace, inputs: ProbeInputs) -> Report:
    """Predict val and test, and write figures with intervals beside the constant answer."""
    from medfm_core.io.atomic import atomic_write
    from training.engine.runs import load_run
    from training.evaluation.baselines import constant_prediction
    from training.evaluation.bootstrap import BootstrapPlan
    from training.evaluation.describe import facts, heading
    from training.evaluation.evaluate import Judged, evaluate
    from training.evaluation.metrics import scorers
    from training.evaluation.plots import draw_report
    from training.evaluation.predict import Selection, predict, write_predictions
    from training.evaluation.report import Report, Row, write_json

    cohort, plan = inputs.cohort, BootstrapPlan(resamples=options.resamples)
    test = cohort.rows("test")
    if not len(test):
        raise InputError("no item of the split 'test' has a known target", "check the manifest")
    objective, _, step = load_run(options.out)
    rows = np.sort(np.concatenate([cohort.rows("val", known=False), cohort.rows("test", known=False)]))
    answers = predict(objective, Selection(inputs.source, rows), progress=RichProgress())
    asked = scorers(cohort.targets.task, cohort.targets.names, None)
    models = {"fine-tuned": answers[np.isin(rows, test)]}
    name = "training mean" if cohort.targets.task == "regression" else "training frequencies"
    models[name] = constant_prediction(cohort.targets.take(cohort.rows("train")), len(test))
    lines = []
    for model, predictions in models.items():
        judged = Judged(cohort.targets.values[test], (predictions,), cohort.subjects_of(test))
        lines.append(Row(model, evaluate(judged, asked, plan), baseline=model == name))
    details = {**facts(cohort, plan), "run": str(options.out), "step": step}
    report = Report(heading(cohort, test), tuple(lines), details=details)
    write_predictions(options.out / "predictions.csv", cohort, rows, answers)
    write_json(report, options.out / "metrics.json")
    with atomic_write(options.out / "metrics.png") as part:
        draw_report(report, part, lines[0].figures[0].metric)
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.finetune",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of a run of training.pretrain, or one of its checkpoints")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the run (default: last)")
    add("--manifest", type=Path, required=True, help="list of the volumes, with columns target.NAME")
    add("--store", required=True, help="folder (or shards) that training.prepare filled")
    add("--target", nargs="+", default=[], metavar="NAME", help="target column without 'target.', or patterns; of a "
        "segmentation, structures of the label maps (default: all that the training volumes show)")  # fmt: skip
    add("--task", choices=("classification", "multi_label", "regression", "segmentation"),
        help="default: what the column holds; segmentation learns the manifest's label maps")  # fmt: skip
    add("--head", choices=("linear", "mlp", "attentive"), default="attentive",
        help="default: attentive; a segmentation has a decoder of its own")  # fmt: skip
    add("--save-labels", action="store_true", help="write the segmentations, each on the grid of its input")
    add("--frozen", action="store_true", help="train the head alone")
    add("--from-scratch", action="store_true", help="do not take the run's weights, only its architecture")
    add("--crop", type=int, nargs=3, metavar=("D", "H", "W"), help="voxels seen (default: as in pre-training)")
    add("--prepared-for", metavar="CARD", help="card whose preparation the store holds, where the run does not say")
    add("--resamples", type=int, default=1000, help="of subjects, for the intervals (default: 1000)")
    add("--out", type=Path, required=True, help="folder of the run and its results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
