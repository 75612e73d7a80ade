"""The same segmentation learnt from few and from many labelled cases: pre-trained, from scratch, and by a U-Net."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress
from training.data.manifest_table import read_table, write_table

if TYPE_CHECKING:
    from training.engine.config import Recipe

PRETRAINED, SCRATCH, UNET = "pre-trained", "from scratch", "U-Net"
STARTS = (PRETRAINED, SCRATCH, UNET)


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
    """One run: its number of cases, how it started, and Dice on the test volumes per class, NaN where absent."""

    cases: int
    start: str
    table: np.ndarray


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
            table, names = _one_run(_recipe_of(sweep, manifest, start), folder, progress)
            found.append(Point(count, start, table))
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


def summary(points: Sequence[Point], names: Sequence[str]) -> dict[str, Any]:
    """The figures as plain data: mean Dice per run over the classes' means, and each class."""
    rows = []
    for point in points:
        means = [float(np.nanmean(column)) if np.isfinite(column).any() else None for column in point.table.T]
        known = [value for value in means if value is not None]
        rows.append({"cases": point.cases, "start": point.start, "volumes": len(point.table),
                     "dice": float(np.mean(known)) if known else None,
                     "classes": dict(zip(names, means, strict=True))})  # fmt: skip
    return {"runs": rows, "names": list(names)}


def _told(point: Point, names: Sequence[str]) -> str:
    """One line about a run, as soon as it was judged."""
    row = summary([point], names)["runs"][0]
    classes = ", ".join(f"{name} {value:.2f}" for name, value in row["classes"].items() if value is not None)
    return f"Dice {row['dice']:.3f} ({classes})" if classes else "no structure is shown"


def draw_sweep(found: Mapping[str, Any], path: Path) -> None:
    """Draw mean Dice over the number of cases, one line per start, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for start in dict.fromkeys(row["start"] for row in found["runs"]):
        rows = [row for row in found["runs"] if row["start"] == start and row["dice"] is not None]
        axes.plot([row["cases"] for row in rows], [row["dice"] for row in rows], marker="o", label=start)
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


def _one_run(recipe: Recipe, folder: Path, progress: Progress) -> tuple[np.ndarray, tuple[str, ...]]:
    """Dice `(volumes, classes)` on the test volumes, and the classes' names."""
    from training.data.label_volumes import LabelVolumes
    from training.engine.loop import train
    from training.engine.processes import pick_device
    from training.engine.runs import load_run
    from training.evaluation.segment_volumes import segment_volume
    from training.evaluation.segmentation import dice, dice_table

    test = LabelVolumes(replace(recipe.data, split="test", crops_per_volume=1))
    if len(test.names) + 1 != recipe.objective.outputs:
        raise InputError(
            f"{len(test.names)} structures are named, outputs are {recipe.objective.outputs}", "correct it"
        )
    if train(recipe, folder).stopped_by is not None:
        raise InputError(f"the training in {folder} was stopped", "the same command goes on from here")
    objective = load_run(folder)[0].to(pick_device(recipe.run))
    scores = []
    with progress.stage(f"Segment ({folder.parent.name}, {folder.name})", len(test)) as stage:
        for item in range(len(test)):
            volume = test.volume(item)
            answer = segment_volume(objective, volume, recipe.data.spec, recipe.data.crop, len(test.names) + 1)
            scores.append(dice(test.classes(volume), answer, dict(enumerate(test.names, 1))))
            stage.advance()
    return dice_table(scores, test.names), test.names
