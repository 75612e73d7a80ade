"""Folders of made-up cases on disk: each whole or not there, the missing ones made by several processes."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io import atomic_bytes
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import part_name, sweep_parts
from medfm_core.progress import SILENT, Progress
from training.synthetic.preview import mosaic

TRUTH, PREVIEW = "truth.json", "preview.png"
_MOST_PICTURES = 24


@dataclass(frozen=True)
class CaseFolder:
    """Where one case belongs, and what it must be.

    Attributes:
        path: the folder.
        arguments: what makes the case, as JSON can hold it; they stand in its `truth.json`.
        version: of what makes it, in `truth.json` as well.
        kind: what it is, for messages, such as "patient".
        preview: whether its picture is wanted too.
    """

    path: Path
    arguments: Mapping[str, Any]
    version: int
    kind: str
    preview: bool = False

    def is_complete(self) -> bool:
        """Whether the folder holds this case, with all that is wanted.

        Raises:
            InputError: it holds something else.
        """
        if not self.path.exists():
            return False
        try:
            truth = read_truth(self.path)
            same = truth["arguments"] == dict(self.arguments) and truth["version"] == self.version
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise InputError(f"{self.path} holds another {self.kind} than the one asked for", "choose an empty folder")
        return not self.preview or (self.path / PREVIEW).is_file()

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """Give a folder to write the case into; it takes its place when all is written.

        Raises:
            InputError: it cannot be written.
            ResourceError: the disk is full.
        """
        if self.path.exists():  # whole, but without the picture that is wanted now
            shutil.rmtree(self.path)
        temporary = self.path.with_name(part_name(self.path.name))
        try:
            temporary.mkdir()
            yield temporary
            os.replace(temporary, self.path)
        except OSError as error:
            if not self.is_complete():  # a worker that outlived a killed run may have come first
                raise write_error(error, self.path) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def open_cohort(folder: Path) -> None:
    """Make the folder of a cohort if it is missing, and remove what a killed run left half-written.

    Raises:
        InputError: it cannot be written.
        ResourceError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    sweep_parts(folder)


def make_missing(
    make: Callable[[Any], None],
    jobs: Sequence[tuple[CaseFolder, Any]],
    title: str,
    workers: int = 1,
    progress: Progress = SILENT,
) -> None:
    """Make the cases that are not there yet.

    Args:
        make: makes one case of what stands beside its folder; importable by its name, as other processes run it.
        jobs: every case and what `make` takes.
        title: of the stage.
        workers: processes.
        progress: advances by one per case.

    Raises:
        InputError: a folder holds another case.
    """
    missing = [job for folder, job in jobs if not folder.is_complete()]
    with progress.stage(title, len(jobs)) as stage:
        stage.advance(len(jobs) - len(missing))
        if workers <= 1 or len(missing) < 2:
            for job in missing:
                make(job)
                stage.advance()
            return
        with ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool:
            try:
                for _ in pool.map(make, missing):
                    stage.advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def read_truth(path: Path) -> dict[str, Any]:
    """What is true of the case in a folder."""
    return json.loads((path / TRUTH).read_text(encoding="utf-8"))


def write_truth(path: Path, truth: Mapping[str, Any]) -> None:
    """Write what is true of a case into its folder."""
    (path / TRUTH).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def write_preview(path: Path, picture: np.ndarray) -> None:
    """Write the picture of a case, `(H, W, 3)` uint8, into its folder."""
    (path / PREVIEW).write_bytes(_png(picture))


def write_mosaic(cases: Sequence[Path], folder: Path) -> None:
    """Put the pictures of the first cases into one, in the cohort's folder."""
    from matplotlib.image import imread

    pictures = [(imread(path / PREVIEW)[:, :, :3] * 255).astype(np.uint8) for path in cases[:_MOST_PICTURES]]
    atomic_bytes(folder / PREVIEW, _png(mosaic(pictures)))


def _png(picture: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return buffer.getvalue()
