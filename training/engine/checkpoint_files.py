"""The folder of one checkpoint: written beside its place, sealed by a manifest, and moved there in one step.

The manifest holds size and sha256 of every other file and is written last. A folder without a valid one is no
checkpoint, so whatever a killed process leaves behind is never taken for one. Hidden neighbours carry the id of the
process that made them: `_part` is being written, `_old` makes way for another of the same step, `_gone` is being
removed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import InputError, WeightsError
from medfm_core.hashing import file_sha256
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import is_alive
from medfm_core.strict import from_dict, to_dict

SCHEMA = 1
MANIFEST = "manifest.json"
MODEL = "model.safetensors"
OPTIMISER = "optimiser.safetensors"
STATE = "state.json"
_FOREIGN_SECONDS = 24 * 3600
_HIDDEN = re.compile(r"\.(step_\d{8,})_(part|old|gone)-(\d+)")
_FIX = "remove it and resume from the one before"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileInfo:
    """Size in bytes and sha256, in hexadecimal digits, of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What seals a checkpoint.

    Attributes:
        schema: version of the layout, `SCHEMA`.
        step: optimiser steps done.
        metric: what decides which checkpoint is best; None counts as not measured.
        recipe_hash: hash of the recipe.
        files: every other file by name.
    """

    schema: int
    step: int
    metric: float | None
    recipe_hash: str
    files: Mapping[str, FileInfo]

    def __post_init__(self) -> None:
        """Check what types cannot."""
        if set(self.files) != {MODEL, OPTIMISER, STATE}:
            raise ValueError(f"it lists {', '.join(sorted(self.files)) or 'no files'}")


def step_name(step: int) -> str:
    """Name of the folder of a step."""
    return f"step_{step:08d}"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Hand out a hidden folder to write, and move it to `path` when the block ends well; else nothing stays of it.

    Args:
        path: the checkpoint to make or replace; the folder around it is made if need be.

    Raises:
        ResourceError: the disk is full.
        InputError: the place cannot be written.
    """
    part = hidden(path, "part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clean(path.parent)
        part.mkdir()
        yield part
        sync(part)
        _move(part, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def seal(folder: Path, step: int, metric: float | None, recipe_hash: str) -> None:
    """Make every file of a checkpoint durable and write its manifest, the last of its files."""
    files = {}
    for name in (MODEL, OPTIMISER, STATE):
        path = folder / name
        sync(path)
        files[name] = FileInfo(path.stat().st_size, file_sha256(path))
    text = json.dumps(to_dict(Manifest(SCHEMA, step, metric, recipe_hash, files)), indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    sync(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a checkpoint and compare the sizes of its files, not yet their content.

    Raises:
        WeightsError: it is no checkpoint, of another version, or incomplete.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{folder} is not a checkpoint: it has no readable {MANIFEST}", "choose another") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise WeightsError(
            f"the checkpoint {folder} has layout version {schema!r}, this program reads {SCHEMA}",
            "use the program that wrote it",
        )
    manifest = from_dict(Manifest, data, f"the manifest of the checkpoint {folder}", WeightsError)
    for name, info in manifest.files.items():
        size = None
        with suppress(OSError):
            size = (folder / name).stat().st_size
        if size != info.bytes:
            found = "is missing" if size is None else f"has {size:,} bytes instead of {info.bytes:,}"
            raise WeightsError(f"the checkpoint {folder} is incomplete: {name} {found}", _FIX)
    return manifest


def check_content(folder: Path, name: str, manifest: Manifest) -> None:
    """Compare the hash of a file with the manifest.

    Raises:
        WeightsError: the file is not the one that was written.
    """
    try:
        digest = file_sha256(folder / name)
    except OSError as error:
        raise WeightsError(f"cannot read {folder / name} ({error.strerror})", "check the disk") from error
    if digest != manifest.files[name].sha256:
        raise WeightsError(f"the checkpoint {folder} is damaged: the content of {name} has changed", _FIX)


def folders(around: Path) -> list[tuple[Path, Manifest]]:
    """All valid checkpoints in a folder, by step; others are passed over.

    One that made way for another of its step counts where a process was killed before that one took its place.
    """
    found = []
    for path in sorted(around.iterdir() if around.is_dir() else ()):
        match = _HIDDEN.fullmatch(path.name)
        name = match[1] if match else path.name
        if match and (match[2] != "old" or (around / name).exists()):
            continue
        try:
            manifest = read_manifest(path)
        except WeightsError as error:
            _log.debug("passed over: %s", error)
            continue
        if name == step_name(manifest.step):
            found.append((path, manifest))
    return sorted(found, key=lambda entry: entry[1].step)


def remove(path: Path) -> None:
    """Remove a checkpoint: at once from sight, then from the disk."""
    aside = hidden(path, "gone")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"cannot remove {path}: {error.strerror}", "check who may write there") from error
    shutil.rmtree(aside, ignore_errors=True)


def clean(around: Path) -> None:
    """Tidy up after killed processes: put back what had made way for nothing, remove all else that is hidden."""
    for path in around.iterdir():
        match = _HIDDEN.fullmatch(path.name)
        if not match or not _is_abandoned(path, int(match[3])):
            continue
        if match[2] == "old" and not (around / match[1]).exists():
            os.rename(path, around / match[1])
        else:
            shutil.rmtree(path, ignore_errors=True)


def hidden(path: Path, kind: str) -> Path:
    """The hidden neighbour of a checkpoint that this process may use: `part`, `old` or `gone`."""
    stem = match[1] if (match := _HIDDEN.fullmatch(path.name)) else path.name
    return path.with_name(f".{stem}_{kind}-{os.getpid()}")


def sync(path: Path) -> None:
    """Make a file or folder durable; folders cannot be on Windows, where renaming is."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _move(part: Path, path: Path) -> None:
    aside = hidden(path, "old")
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write {path}: a file of that name is in the way", "remove it")
    if path.exists():
        os.rename(path, aside)
    os.rename(part, path)
    sync(path.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _is_abandoned(path: Path, process: int) -> bool:
    """Whether the process that made a hidden folder is gone; its id may be ours, or another's by now."""
    if process == os.getpid() or not is_alive(process):
        return True
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _FOREIGN_SECONDS
    return False
