"""The same segmentation learnt from few and from many labelled cases: pre-trained, from scratch, and by a U-Net."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import SILENT, Progress
from training.data.manifest_table import read_table, write_table
from training.evaluation.bootstrap import BootstrapPlan, Estimate, bootstrap, paired_difference

if TYPE_CHECKING:
    from torch import nn

    from training.data.label_volumes import LabelVolumes
    from training.engine.config import Recipe

PRETRAINED, SCRATCH, UNET = "pre-trained", "from scratch", "U-Net"
STARTS = (PRETRAINED, SCRATCH, UNET)
JUDGED = "dice.json"  # in the folder of a run
_INTERVALS = BootstrapPlan()


@dataclass(frozen=True)
class Sweep:
    """What is compared.

    Attributes:
        recipe: of the objective `spad_segmentation`, as plain data; `objective.encoder` is the pre-trained start.
        cases: numbers of labelled training subjects; those of fewer cases are among those of more.
        starts: of `STARTS`.
        seed: decides which subjects.
        out: folder of all runs.
    """

    recipe: Mapping[str, Any]
    cases: tuple[int, ...]
    starts: tuple[str, ...]
    seed: int
    out: Path


@dataclass(frozen=True, eq=False)
class Point:
    """A run, judged.

    Attributes:
        cases: labelled training subjects.
        start: of `STARTS`.
        table: Dice `(volumes, classes)` on the test volumes, NaN where a class is absent.
        subjects: of the test volumes.
    """

    cases: int
    start: str
    table: np.ndarray
    subjects: tuple[str, ...]

    def dice(self, rows: np.ndarray) -> np.ndarray:
        """Mean over the classes of their means over some volumes, `(1,)`; NaN where none is shown."""
        known = np.isfinite(self.table[rows])
        sums, counts = np.where(known, self.table[rows], 0).sum(axis=0), known.sum(axis=0)
        return np.array([(sums[counts > 0] / counts[counts > 0]).mean() if counts.any() else np.nan])


def run_sweep(sweep: Sweep, progress: Progress = SILENT) -> tuple[list[Point], tuple[str, ...]]:
    """Train and judge every combination; runs that are complete are not trained again.

    Args:
        sweep: what is compared.
        progress: told of the judged volumes; may cancel.

    Returns:
        A point per combination, and the names of the structures.

    Raises:
        InputError: fewer subjects are labelled than asked for, no test volume is, or a training was stopped.
    """
    found, names = [], ()
    for count in sweep.cases:
        manifest = few_cases(Path(sweep.recipe["data"]["manifest"]), count, sweep)
        for start in sweep.starts:
            folder = sweep.out / f"{count}-cases" / start.replace(" ", "-").lower()
            table, names, subjects = _one_run(_recipe_of(sweep, manifest, start), folder, progress)
            found.append(Point(count, start, table, subjects))
            progress.message(f"{count} cases, {start}: {_told(found[-1], names)}")
    return found, names


def few_cases(manifest: Path, count: int, sweep: Sweep) -> Path:
    """Write the manifest with only so many of its labelled training subjects; all other rows stay.

    Returns:
        The path of the new manifest. Its rows are found in the store under the same names.

    Raises:
        InputError: fewer are labelled, or the manifest has no splits.
    """
    table = read_table(manifest)
    if "split" not in table.columns or "labels" not in table.columns:
        raise InputError(f"the manifest {manifest} has no splits or no labels", "add the columns split and labels")
    subjects = sorted({row["subject"] for row in table.rows if row["split"] == "train" and row["labels"]})
    if count > len(subjects):
        raise InputError(f"{count} cases are asked for, {len(subjects)} subjects of train are labelled", "ask for less")
    order = np.random.default_rng((sweep.seed, zlib.crc32(b"cases"))).permutation(len(subjects))
    chosen = {subjects[place] for place in order[:count]}
    rows = [_placed(row, manifest.parent) for row in table.rows if row["split"] != "train" or row["subject"] in chosen]
    path = sweep.out / f"{count}-cases" / "manifest.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table.columns, rows)
    return path


def summary(points: Sequence[Point], names: Sequence[str], plan: BootstrapPlan = _INTERVALS) -> dict[str, Any]:
    """The figures as plain data.

    Args:
        points: judged on the same volumes.
        names: of the classes.
        plan: how intervals over the test subjects are made.

    Returns:
        Per run mean Dice over the classes' means with its interval, each class, and how far the pre-trained start lies
        above this one with as many cases, on the same subjects; None where there is none.
    """
    rows = []
    for point in points:
        means = [float(np.nanmean(column)) if np.isfinite(column).any() else None for column in point.table.T]
        rows.append({"cases": point.cases, "start": point.start, "volumes": len(point.table),
                     **_numbers(bootstrap(point.dice, point.subjects, plan)[0], "dice"),
                     "classes": dict(zip(names, means, strict=True)), **_lead(point, points, plan)})  # fmt: skip
    return {"runs": rows, "names": list(names), "intervals": {**vars(plan), "resampled": "subjects"}}


def _lead(point: Point, points: Sequence[Point], plan: BootstrapPlan) -> dict[str, Any]:
    other = next((one for one in points if (one.cases, one.start) == (point.cases, PRETRAINED)), None)
    if other is None or other is point:
        return {}
    lead = paired_difference(other.dice, point.dice, point.subjects, plan)[0]
    return {} if lead.value is None else _numbers(lead, "pretrained_lead")


def _numbers(estimate: Estimate, name: str) -> dict[str, Any]:
    ends = None if estimate.low is None or estimate.high is None else [estimate.low, estimate.high]
    return {name: estimate.value, f"{name}_interval": ends}


def _told(point: Point, names: Sequence[str]) -> str:
    """One line about a run, as soon as it was judged."""
    known = [(name, column[np.isfinite(column)]) for name, column in zip(names, point.table.T, strict=True)]
    classes = ", ".join(f"{name} {column.mean():.2f}" for name, column in known if len(column))
    whole = float(point.dice(np.arange(len(point.table)))[0])
    return f"Dice {whole:.3f} ({classes})" if classes else "no structure is shown"


def draw_sweep(found: Mapping[str, Any], path: Path) -> None:
    """Draw mean Dice over the number of cases, one line per start with its intervals, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for start in dict.fromkeys(row["start"] for row in found["runs"]):
        rows = [row for row in found["runs"] if row["start"] == start and row["dice"] is not None]
        values = [row["dice"] for row in rows]
        ends = [row["dice_interval"] or (value, value) for row, value in zip(rows, values, strict=True)]
        spread = [[value - low, high - value] for value, (low, high) in zip(values, ends, strict=True)]
        axes.errorbar(
            [row["cases"] for row in rows], values, yerr=np.array(spread).T, marker="o", capsize=3, label=start
        )
    axes.set_xscale("log")
    axes.set_xticks(sorted({row["cases"] for row in found["runs"]}), minor=False)
    axes.get_xaxis().set_major_formatter("{x:g}")
    axes.set(xlabel="labelled cases", ylabel="mean Dice on test volumes", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.savefig(path, dpi=120, format="png")


def _placed(row: Mapping[str, str], folder: Path) -> dict[str, str]:
    """A row that is read from another folder: the file of its labels' names, which no store keeps, is found again."""
    names = row.get("label_names", "")
    return {**row, "label_names": str(folder.absolute() / names)} if names.lower().endswith(".json") else dict(row)


def _recipe_of(sweep: Sweep, manifest: Path, start: str) -> Recipe:
    from training.engine.config import recipe_from_data

    plain = deepcopy(dict(sweep.recipe))
    plain["data"]["manifest"] = str(manifest)
    if start != PRETRAINED:
        plain["objective"]["encoder"] = None
        plain["objective"]["layer_decay"] = 1.0  # which spares what was learnt before
    if start == UNET:
        plain["objective"] |= {"network": "unet", "frozen_encoder": False}
    return recipe_from_data(plain, f"the recipe of {start}")


def _one_run(recipe: Recipe, folder: Path, progress: Progress) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Dice `(volumes, classes)` on the test volumes, the classes' names, and the volumes' subjects.

    Runs that were judged on these volumes are not judged again.
    """
    from training.data.label_volumes import LabelVolumes
    from training.engine.loop import train
    from training.engine.runs import load_run

    test = LabelVolumes(replace(recipe.data, split="test", crops_per_volume=1))
    if len(test.names) + 1 != recipe.objective.outputs:
        raise InputError(
            f"{len(test.names)} structures are named, outputs are {recipe.objective.outputs}", "correct it"
        )
    if train(recipe, folder).stopped_by is not None:
        raise InputError(f"the training in {folder} was stopped", "the same command goes on from here")
    objective, _, step = load_run(folder)
    subjects = tuple(row.subject for row in test.rows)
    kept = folder / JUDGED
    facts = {"step": step, "volumes": test.digest, "names": list(test.names)}
    if kept.is_file() and (found := json.loads(kept.read_text()))["judged"] == facts:
        return np.array(found["dice"], dtype=np.float64).reshape(len(test), -1), test.names, subjects
    table = _judge(objective, test, recipe, f"{folder.parent.name}, {folder.name}", progress)
    plain = [[None if np.isnan(value) else float(value) for value in row] for row in table]
    atomic_text(kept, json.dumps({"judged": facts, "dice": plain}) + "\n")
    return table, test.names, subjects


def _judge(objective: nn.Module, test: LabelVolumes, recipe: Recipe, told: str, progress: Progress) -> np.ndarray:
    from training.engine.processes import pick_device
    from training.evaluation.segment_volumes import segment_volume
    from training.evaluation.segmentation import dice, dice_table

    objective = objective.to(pick_device(recipe.run))
    scores = []
    with progress.stage(f"Segment ({told})", len(test)) as stage:
        for item in range(len(test)):
            volume = test.volume(item)
            answer = segment_volume(objective, volume, recipe.data.spec, recipe.data.crop, len(test.names) + 1)
            scores.append(dice(test.classes(volume), answer, dict(enumerate(test.names, 1))))
            stage.advance()
    return dice_table(scores, test.names)
