"""A folder of results that appears whole or not at all, and never costs a file that is not ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import part_name, sweep_parts

MANIFEST = "analysis.json"


@contextmanager
def results_folder(target: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Hand out a private folder to fill; when the block ends well its files become the folder `target`.

    A new folder is put in place by one rename. In a folder that exists already the files replace those of the same
    name, the manifest last, and files of the previous result that the new one lacks are removed; others stay. What
    killed processes left in work beside it is cleared away.

    Args:
        target: the folder to make or renew.
        overwrite: allow a folder that holds files but no previous result.

    Yields:
        An empty folder beside `target`, readable only by the user; it is gone afterwards, whatever happens.

    Raises:
        InputError: `target` is a file, holds something else, or cannot be written.
        ResourceError: the disk is full.
    """
    target = Path(target).absolute()
    previous = _check_target(target, overwrite)
    made: list[Path] = []
    temporary: Path | None = None
    try:
        try:
            made = _make_parents(target.parent)
            sweep_parts(target.parent)
            temporary = target.parent / part_name()
            temporary.mkdir(mode=0o700)
            filled = temporary / "results"
            filled.mkdir()
        except OSError as error:
            raise write_error(error, target) from error
        yield filled
        try:
            _put_in_place(filled, target, previous)
        except OSError as error:
            raise write_error(error, target) from error
        made = []
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _check_target(target: Path, overwrite: bool) -> tuple[str, ...]:
    """Names of the files of a previous result there.

    Raises:
        InputError: the place is taken by something that is not ours.
    """
    try:
        if target.exists() and not target.is_dir():
            raise InputError(f"cannot write results to {target}: it is a file", "give a folder")
        names = [entry.name for entry in target.iterdir()] if target.is_dir() else []
    except OSError as error:
        raise write_error(error, target) from error
    if not names:
        return ()
    files = _files_of_result(target / MANIFEST)
    if files is None and not overwrite:
        example = sorted(names)[0]
        raise InputError(
            f"the folder {target} holds files that are no MedFM result (such as {example})",
            "choose another --out, or add --overwrite to put the results beside them",
        )
    return files or ()


def _files_of_result(manifest: Path) -> tuple[str, ...] | None:
    """Plain file names that a previous manifest lists; None where there is no manifest of ours."""
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
        if not data["schema"].startswith("medfm.analysis."):
            return None
        return tuple(name for name in data["files"] if isinstance(name, str) and Path(name).name == name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _make_parents(folder: Path) -> list[Path]:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
    return list(reversed(missing))


def _put_in_place(filled: Path, target: Path, previous: tuple[str, ...]) -> None:
    with suppress(OSError):
        target.rmdir()  # an empty folder makes room for the rename
    if not target.exists():
        os.rename(filled, target)
        return
    files = sorted(filled.iterdir(), key=lambda path: path.name == MANIFEST)
    for path in files:
        os.replace(path, target / path.name)
    for name in set(previous) - {path.name for path in files} - {MANIFEST}:
        with suppress(OSError):
            (target / name).unlink()
