"""Training a voxel decoder on an encoder, and judging it by Dice on whole volumes of held-out subjects.

Dice is taken on the grid of the store, on which the label maps lie too; predictions are written on that of the input.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.layers.anisotropy import degree_of_anisotropy
from medfm_core.progress import SILENT, Progress
from medfm_core.slices import slice_spacing
from medfm_core.strict import from_dict, to_dict
from training.data.label_volumes import LabelVolumes, LabelVolumesConfig
from training.evaluation.bootstrap import BootstrapPlan
from training.evaluation.evaluate import Judged, compare, evaluate
from training.evaluation.metrics import scorers
from training.evaluation.position_prior import PositionPrior
from training.evaluation.report import Report, Row
from training.evaluation.segment_volumes import on_input_grid, save_segmentation, segment_volume
from training.evaluation.segmentation import dice, dice_table

if TYPE_CHECKING:
    from torch import nn

    from training.evaluation.probe_inputs import ProbeRequest

PRIOR = "mean position"
Answer = Callable[[int], np.ndarray]


@dataclass(frozen=True, eq=False)
class SegmentationInputs:
    """What a study starts from.

    Attributes:
        source: all labelled volumes, one item each.
        described: the encoder's run, as plain data.
    """

    source: LabelVolumes
    described: dict[str, Any]

    @property
    def splits(self) -> np.ndarray:
        """Split of each item."""
        return np.array([row.split or "" for row in self.source.rows])

    def items(self, *splits: str) -> np.ndarray:
        """Numbers of the items of some splits."""
        return np.flatnonzero(np.isin(self.splits, splits))


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """What came out: the report, the items of val and test, and their Dice per class `(items, classes)`."""

    report: Report
    items: np.ndarray
    table: np.ndarray


def open_segmentation(request: ProbeRequest) -> SegmentationInputs:
    """Open the labelled volumes for the encoder of a run.

    Raises:
        InputError: a card is named instead of a run, volumes have no label maps, or train or test holds none.
        WeightsError: the run's weights are damaged.
    """
    from training.engine.runs import load_encoder
    from training.evaluation.cohort import check_leakage
    from training.evaluation.probe_inputs import volumes_data

    if request.run is None:
        raise InputError("a segmentation is trained on a run", "give --run instead of --card")
    _, described = load_encoder(request.run, request.which)
    data = {**volumes_data(request, described), "classes": list(request.targets)}
    data.pop("labels", None)
    inputs = SegmentationInputs(LabelVolumes(from_dict(LabelVolumesConfig, data, "the volumes")), described)
    rows = inputs.source.rows
    check_leakage([row.subject for row in rows], [row.split or "" for row in rows])
    for split in ("train", "test"):
        if not len(inputs.items(split)):
            raise InputError(f"no volume of the split {split!r} has a label map", "check the manifest")
    return inputs


def segmentation_recipe(inputs: SegmentationInputs, start: Path | None, frozen: bool, steps: int) -> dict[str, Any]:
    """The training as plain data: the encoder's own model, a voxel decoder, and crops with their label maps.

    Args:
        inputs: from `open_segmentation`.
        start: run to take the encoder's weights from; None for random ones.
        frozen: train the decoder alone.
        steps: of the training.
    """
    earlier, config = inputs.described["recipe"], inputs.source.config
    data = {**_plain(config), "name": "label_volumes", "split": "train", "place": "random",
            "classes": list(inputs.source.names), "foreground_share": 0.5,
            "augment": earlier["data"].get("augment", "none")}  # fmt: skip
    objective = {"name": "supervised", "task": "segmentation", "outputs": len(inputs.source.names) + 1,
                 "frozen_encoder": frozen}  # fmt: skip
    if not frozen:
        objective |= {"layer_decay": 0.75, "head_rate": 10.0}
    run: dict[str, Any] = {"steps": steps, "batch_size": 4, "checkpoint_every": 100}
    if start is not None:
        run["start_from"] = str(start)
    optim = {"lr": 2e-3 if frozen else 3e-4, "warmup_steps": min(20, steps)}
    return {"model": _model(inputs), "objective": objective, "data": data, "optim": optim, "run": run}


def _model(inputs: SegmentationInputs) -> dict[str, Any]:
    """The encoder's own model; one that adapts to voxel spacing is fixed to that of the volumes."""
    model = dict(inputs.described["recipe"]["model"])
    if model["name"] != "spad_vit":
        return model
    volume = inputs.source.volume(0)
    degree = degree_of_anisotropy(slice_spacing(volume.shape, volume.spacing))
    return {**model, "name": "spad_encoder", "degree": degree}


def judge_segmentation(
    inputs: SegmentationInputs,
    models: dict[str, nn.Module],
    plan: BootstrapPlan,
    save_to: Path | None = None,
    progress: Progress = SILENT,
) -> SegmentationResult:
    """Segment val and test by every model, and write Dice with intervals beside what the position alone tells.

    Args:
        inputs: from `open_segmentation`.
        models: trained objectives by name; the first is the one that the study is about.
        plan: how intervals are made.
        save_to: folder for the first model's segmentations, None for none.
        progress: advances by volumes.
    """
    source, config = inputs.source, inputs.source.config
    names, items = source.names, inputs.items("val", "test")
    test = np.isin(items, inputs.items("test"))

    def by(objective: nn.Module) -> Answer:
        return lambda item: segment_volume(objective, source.volume(item), config.spec, config.crop, len(names) + 1)

    prior = PositionPrior((source.classes(source.volume(i)) for i in inputs.items("train")), len(names) + 1)
    answers: dict[str, Answer] = {name: by(objective) for name, objective in models.items()}
    answers[PRIOR] = lambda item: prior.answer(source.volume(item).shape)
    first, tables = next(iter(models)), {}
    with progress.stage("Segment", len(items) * len(answers)) as stage:
        for name, answer in answers.items():
            scores = []
            for item in items:
                found = answer(item)
                scores.append(dice(source.classes(source.volume(item)), found, dict(enumerate(names, 1))))
                if name == first and save_to is not None:
                    _save(found, inputs, int(item), save_to)
                stage.advance()
            tables[name] = dice_table(scores, names)
    return SegmentationResult(_report(inputs, items[test], {n: t[test] for n, t in tables.items()}, first, plan),
                              items, tables[first])  # fmt: skip


def write_dice(path: Path, inputs: SegmentationInputs, result: SegmentationResult) -> None:
    """Write one line per volume of val and test: subject, study, split and the Dice of each class, empty if absent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["subject", "study", "split", *(f"dice_{name}" for name in inputs.source.names)])
    rows = inputs.source.rows
    for item, line in zip(result.items, result.table, strict=True):
        row = rows[item]
        cells = [f"{value:.6g}" if np.isfinite(value) else "" for value in line]
        writer.writerow([row.subject, row.study, row.split, *cells])
    atomic_text(path, out.getvalue())


def _report(
    inputs: SegmentationInputs, test: np.ndarray, tables: dict[str, np.ndarray], first: str, plan: BootstrapPlan
) -> Report:
    rows = inputs.source.rows
    subjects = tuple(rows[item].subject for item in test)
    asked = scorers("segmentation", inputs.source.names)
    judged = {name: Judged(np.zeros(len(test)), (table,), subjects) for name, table in tables.items()}
    lines = tuple(Row(name, evaluate(one, asked, plan), baseline=name != first) for name, one in judged.items())
    differences = tuple(
        Row(f"{first} minus {name}", compare(judged[first], one, asked, plan))
        for name, one in judged.items() if name != first
    )  # fmt: skip
    names = inputs.source.names
    what = ", ".join(names) if len(names) <= 3 else f"{len(names)} structures"
    title = f"{what}: {len(test)} test volumes of {len(set(subjects))} subjects"
    counts = {
        split: {"items": len(found), "subjects": len({rows[i].subject for i in found})}
        for split in ("train", "val", "test") if (found := inputs.items(split)) is not None
    }  # fmt: skip
    details = {"target": "labels", "task": "segmentation", "names": list(names), "splits": counts,
               "grid": "of the store", "intervals": {**vars(plan), "resampled": "subjects"}}  # fmt: skip
    return Report(title, lines, differences, details)


def _save(answer: np.ndarray, inputs: SegmentationInputs, item: int, folder: Path) -> None:
    row = inputs.source.rows[item]
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{row.number:05d}_{row.subject}_{row.study}")[:120]
    here = on_input_grid(answer, inputs.source.volume(item), row)
    save_segmentation(here, folder / f"{stem}.nii.gz", dict(enumerate(inputs.source.names, 1)))


def _plain(config: LabelVolumesConfig) -> dict[str, Any]:
    """The configuration as a recipe's data section, for `label_volumes` to check again."""
    return {name: value for name, value in to_dict(config, defaults=True).items() if value is not None}
