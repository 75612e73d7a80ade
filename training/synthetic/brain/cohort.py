"""Cohorts of virtual heads on disk: one folder per head, whole or not there, and the manifest of all scans."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io import atomic_bytes, write_labels, write_scalar
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import part_name, sweep_parts
from medfm_core.progress import SILENT, Progress
from training.data.manifest_table import write_table
from training.synthetic.brain.cohort_manifest import MANIFEST_COLUMNS, manifest_rows
from training.synthetic.brain.lesions import LESION_NAMES
from training.synthetic.brain.parts import number_names
from training.synthetic.brain.preview import preview
from training.synthetic.brain.subject import BrainPlan, VirtualBrain, describe_person, synthesize_brain
from training.synthetic.preview import mosaic

VERSION = 1
_MOST_PICTURES = 24


@dataclass(frozen=True)
class BrainCohort:
    """What to make.

    Attributes:
        count: heads.
        seed: of the first one; the others follow it.
        plan: how each is made.

    Raises:
        InputError: a value out of range.
    """

    count: int
    seed: int = 0
    plan: BrainPlan = field(default_factory=BrainPlan)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"a cohort of {self.count} heads is impossible", "ask for at least one")
        if self.seed < 0:
            raise InputError(f"the seed {self.seed} is negative", "give 0 or more")

    def arguments(self, number: int) -> dict[str, object]:
        """What makes head `number`, as JSON can hold it; label maps count by their names, not their folder."""
        plan = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.plan).items()}
        plan["label_maps"] = [Path(path).name for path in self.plan.label_maps]
        return {"seed": self.seed + number, **plan}


def make_brains(
    cohort: BrainCohort, folder: Path, *, workers: int = 1, previews: bool = False, progress: Progress = SILENT
) -> list[dict[str, object]]:
    """Make the heads that are not there yet, then write `manifest.csv` (and `preview.png`).

    Args:
        cohort: what to make.
        folder: made if missing; heads of the same plan that it holds already are kept.
        workers: processes.
        previews: whether to draw the heads.
        progress: advances by one per head.

    Returns:
        The rows of the manifest, one per scan.

    Raises:
        InputError: the folder holds a head made otherwise, or cannot be written.
        ResourceError: the disk is full; finished heads stay.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    sweep_parts(folder)
    paths = [folder / f"brain_{cohort.seed + number:06d}" for number in range(cohort.count)]
    jobs = [(cohort, number, path, previews) for number, path in enumerate(paths)]
    missing = [job for job in jobs if not is_complete(job[2], cohort.arguments(job[1]), previews)]
    with progress.stage("Virtual heads", cohort.count) as stage:
        stage.advance(len(jobs) - len(missing))
        if workers <= 1 or len(missing) < 2:
            for job in missing:
                make_brain(*job)
                stage.advance()
        else:
            with ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool:
                try:
                    for _ in pool.map(_make, missing):
                        stage.advance()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    rows = [row for path in paths for row in manifest_rows(path.name, _truth(path))]
    write_table(folder / "manifest.csv", MANIFEST_COLUMNS, rows)
    if previews:
        _write_mosaic(paths, folder / "preview.png")
    return rows


def make_brain(cohort: BrainCohort, number: int, path: Path, previews: bool = False) -> None:
    """Make one head's folder; it appears when it is whole."""
    arguments = cohort.arguments(number)
    if path.exists():  # whole, but without the picture that is wanted now
        shutil.rmtree(path)
    brain = synthesize_brain(cohort.seed + number, cohort.plan)
    temporary = path.with_name(part_name(path.name))
    try:
        temporary.mkdir()
        _write_files(brain, arguments, temporary, previews)
        os.replace(temporary, path)
    except OSError as error:
        if not is_complete(path, arguments, previews):  # a worker that outlived a killed run may have come first
            raise write_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_complete(path: Path, arguments: Mapping[str, object], previews: bool = False) -> bool:
    """Whether a folder holds the head of these arguments.

    Raises:
        InputError: it holds something else.
    """
    if not path.exists():
        return False
    try:
        truth = _truth(path)
        same = truth["arguments"] == dict(arguments) and truth["version"] == VERSION
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise InputError(f"{path} holds another head than the one asked for", "choose an empty folder")
    return not previews or (path / "preview.png").is_file()


def _make(job: tuple[BrainCohort, int, Path, bool]) -> None:
    make_brain(*job)


def _truth(path: Path) -> dict[str, object]:
    return json.loads((path / "truth.json").read_text(encoding="utf-8"))


def _write_files(brain: VirtualBrain, arguments: Mapping[str, object], folder: Path, previews: bool) -> None:
    for sequence, volume in brain.scans.items():
        write_scalar(volume, folder / f"{sequence}.nii.gz")
    write_labels(brain.labels, folder / "labels.nii.gz", number_names())
    write_labels(brain.lesions, folder / "lesions.nii.gz", LESION_NAMES)
    if previews:
        (folder / "preview.png").write_bytes(_png(preview(brain)))
    truth = {
        "version": VERSION, "arguments": dict(arguments), "person": describe_person(brain.person), **brain.truth,
    }  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _write_mosaic(paths: list[Path], target: Path) -> None:
    from matplotlib.image import imread

    pictures = [(imread(path / "preview.png")[:, :, :3] * 255).astype(np.uint8) for path in paths[:_MOST_PICTURES]]
    atomic_bytes(target, _png(mosaic(pictures)))


def _png(picture: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return buffer.getvalue()
