"""Find DICOM files and read their headers; what is no DICOM is counted and left alone."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.io.detect import looks_like_bare_dicom
from medfm_core.io.dicom.tags import HEADER_TAGS, meta_text
from medfm_core.io.header import read_error, regular_file

_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"  # DICOMDIR
_MOST_FILES = 100_000


@dataclass(frozen=True)
class Item:
    """One DICOM file and its header (a pydicom dataset without pixels)."""

    path: Path
    header: Any


@dataclass(frozen=True)
class Scan:
    """What was found: DICOM files, and how many others and damaged ones were passed over."""

    items: tuple[Item, ...]
    ignored: int
    damaged: int


def scan(paths: Sequence[Path]) -> Scan:
    """Read the header of every DICOM file among `paths`."""
    items, ignored, damaged = [], 0, 0
    for path in paths:
        kind = _kind(path)
        if kind is None:
            ignored += not path.name.startswith(".")
            continue
        header = read_dataset(path, force=kind == "bare", stop_before_pixels=True, specific_tags=list(HEADER_TAGS))
        if header is None or not ("SeriesInstanceUID" in header or "Rows" in header):
            damaged += header is None or not is_directory_record(header)
        elif not is_directory_record(header):
            items.append(Item(path, header))
    return Scan(tuple(items), ignored, damaged)


def files_below(folder: Path) -> list[Path]:
    """List every regular file in and below a folder, sorted, without following linked folders.

    Raises:
        InputError: the folder cannot be read, or holds more than 100,000 files.
    """
    found: list[Path] = []

    def fail(error: OSError) -> None:
        raise read_error(error, folder) from error

    for place, folders, names in os.walk(folder, onerror=fail, followlinks=False):
        folders.sort()
        found += [path for name in sorted(names) if (path := Path(place, name)).is_file()]
        if len(found) > _MOST_FILES:
            raise InputError(f"{folder} holds more than {_MOST_FILES:,} files", "give the folder of one study")
    return found


def is_directory_record(header: Any) -> bool:
    """Whether a dataset is a DICOMDIR, the table of contents of a medium."""
    return meta_text(header, "MediaStorageSOPClassUID") == _DIRECTORY_CLASS


def read_dataset(path: Path, **options: Any) -> Any | None:
    """Read a DICOM file by pydicom, None if it is damaged."""
    import pydicom

    try:
        return pydicom.dcmread(path, **options)
    except Exception:  # pydicom raises many kinds on damaged files
        return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings, which quote values of the file, out of logs and off the terminal.

    pydicom converts a value when it is first asked for, so all that touches a dataset runs within this.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _kind(path: Path) -> str | None:
    """Return "file" for DICOM with its preamble, "bare" for a dataset without, None for something else."""
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return None
    if start[128:132] == b"DICM":
        return "file"
    return "bare" if looks_like_bare_dicom(start) else None


def given_files(paths: Sequence[Path]) -> list[Path]:
    """Check files that a user listed.

    Raises:
        InputError: one is missing or no regular file.
    """
    for path in paths:
        regular_file(path)
    return list(paths)
