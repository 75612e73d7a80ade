"""What `training.finetune` and `training.probe` do under `--task segmentation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.io.atomic import atomic_write
from medfm_core.progress import SILENT, Progress
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.report import Report, write_json
from training.evaluation.segmentation_study import (
    SegmentationInputs,
    judge_segmentation,
    open_segmentation,
    segmentation_recipe,
    write_dice,
)

if TYPE_CHECKING:
    from torch import nn

    from training.evaluation.probe_inputs import ProbeRequest


@dataclass(frozen=True)
class SegmentationOrder:
    """What the user wants.

    Attributes:
        request: run, manifest, store, and names of the structures.
        out: folder of the results.
        save_labels: write the segmentations of val and test.
        resamples: of subjects, for the intervals.
        steps: of the training.
    """

    request: ProbeRequest
    out: Path
    save_labels: bool = False
    resamples: int = 1000
    steps: int = 200


def finetune_segmentation(
    order: SegmentationOrder,
    overrides: Sequence[str] = (),
    frozen: bool = False,
    from_scratch: bool = False,
    progress: Progress = SILENT,
) -> Report | None:
    """Train encoder and decoder in `out`, and judge them; None where a signal stopped it.

    Args:
        order: what is wanted.
        overrides: `--section.key value` pairs over the recipe.
        frozen: train the decoder alone.
        from_scratch: begin with random weights.
        progress: of the judging.

    Raises:
        MedFMError: inputs, recipe or machine do not allow it.
    """
    inputs = open_segmentation(order.request)
    start = None if from_scratch else order.request.run
    objective = _trained(segmentation_recipe(inputs, start, frozen, order.steps), overrides, order.out)
    return None if objective is None else _judge(order, inputs, {"fine-tuned": objective}, progress)


def probe_segmentation(
    order: SegmentationOrder, overrides: Sequence[str] = (), random: bool = True, progress: Progress = SILENT
) -> Report | None:
    """Train a decoder on the frozen encoder, and another on the same with random weights; None where it was stopped.

    Args:
        order: what is wanted.
        overrides: `--section.key value` pairs over the recipe.
        random: whether to compare with random weights.
        progress: of the judging.

    Raises:
        MedFMError: inputs or machine do not allow it.
    """
    inputs = open_segmentation(order.request)
    starts = {"voxel probe": order.request.run} | ({"random weights": None} if random else {})
    models = {}
    for name, start in starts.items():
        folder = order.out / "runs" / name.replace(" ", "_")
        objective = _trained(segmentation_recipe(inputs, start, True, order.steps), overrides, folder)
        if objective is None:
            return None
        models[name] = objective
    return _judge(order, inputs, models, progress)


def _trained(plain: dict[str, Any], overrides: Sequence[str], folder: Path) -> nn.Module | None:
    from training.engine.config import override, recipe_from_data
    from training.engine.loop import train
    from training.engine.processes import pick_device
    from training.engine.runs import load_run

    recipe = recipe_from_data(override(plain, overrides), "the segmentation")
    if train(recipe, folder).stopped_by is not None:
        return None
    return load_run(folder)[0].to(pick_device(recipe.run))


def _judge(
    order: SegmentationOrder, inputs: SegmentationInputs, models: dict[str, nn.Module], progress: Progress
) -> Report:
    from training.evaluation.plots import draw_report

    labels = order.out / "labels" if order.save_labels else None
    result = judge_segmentation(inputs, models, BootstrapPlan(resamples=order.resamples), labels, progress)
    write_dice(order.out / "predictions.csv", inputs, result)
    write_json(result.report, order.out / "metrics.json")
    with atomic_write(order.out / "metrics.png") as part:
        draw_report(result.report, part, "dice")
    return result.report
