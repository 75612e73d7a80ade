"""Folders and files of the cache: made, filled and cleared so that a file is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from medfm_core.errors import ResourceError, WeightsError
from medfm_core.io.atomic import write_error

PARTS = "parts"
_SPARE_BYTES = 50_000_000
_OLD_PART_S = 30 * 24 * 3600.0


def make_folder(folder: Path) -> Path:
    """Make a folder and those above it.

    Raises:
        InputError, ResourceError: that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    return folder


def part_path(cache: Path, sha256: str) -> Path:
    """Where a file is while it is being fetched: under its hash, so that any later fetch goes on with it."""
    return make_folder(cache / PARTS) / f"{sha256}.part"


def sweep_old_parts(cache: Path) -> None:
    """Delete beginnings of files that nobody has gone on with for a month."""
    for path in (cache / PARTS).glob("*.part"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _OLD_PART_S:
                path.unlink()


def check_room(folder: Path, bytes_needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: where the bytes will go; it is there.
        bytes_needed: how many.

    Raises:
        ResourceError: too little is free.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < bytes_needed + _SPARE_BYTES:
        raise ResourceError(
            f"{folder} has {free / 1e9:.2f} GB free, the weights need {bytes_needed / 1e9:.2f} GB more",
            "free some space, or set MEDFM_CACHE to a folder of another disk",
        )


def place_inside(root: Path, name: str) -> Path:
    """Where a file of a card goes in its folder; the folders between are made.

    Args:
        root: the card's folder.
        name: the file's name, with "/" between folders; a card has checked it for "..".

    Raises:
        WeightsError: a link leads out of the folder.
        InputError, ResourceError: a folder cannot be made.
    """
    target = root.joinpath(*name.split("/"))
    make_folder(target.parent)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise WeightsError(f"{target.parent} is a link that leads out of the cache", "delete it and fetch again")
    return target


def put(part: Path, target: Path) -> None:
    """Move a whole, checked file to its place.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    try:
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.chmod(0o644)
        os.replace(part, target)
    except OSError as error:
        raise write_error(error, target) from error
