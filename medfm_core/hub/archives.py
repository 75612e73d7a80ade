"""Zip files of strangers, looked at before anything is taken out of them."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from medfm_core.errors import WeightsError

ENTRIES_LIMIT = 200_000
RATIO_LIMIT = 100
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError, OverflowError)
_FIX = "do not use this file; get it from its owner"


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose entries are plain files with plain names.

    Refused are absolute names and those with "..", drives, backslashes or null bytes, links, devices, names that come
    twice, more than 200,000 entries, encrypted entries, and entries that unpack to more than 100 times their size.

    Args:
        path: the file.

    Raises:
        WeightsError: it is damaged, or one of these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive.infolist(), path)
            yield archive
    except _DAMAGED as error:
        raise WeightsError(f"{path} is damaged or not a zip file ({error})", _FIX) from error
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror})", "check its place and rights") from error


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip file does; one that only ends as one is taken for what it begins as."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > ENTRIES_LIMIT:
        raise WeightsError(f"{path} holds {len(entries):,} files, more than {ENTRIES_LIMIT:,}", _FIX)
    seen: set[str] = set()
    for entry in entries:
        problem = _problem(entry, seen)
        if problem:
            raise WeightsError(f"{path} holds {_label(entry)}, which {problem}", _FIX)
        seen.add(entry.filename.casefold())


def _problem(entry: zipfile.ZipInfo, seen: set[str]) -> str:
    # What the file says, before the library cut it at a null byte or turned separators around.
    name, parts = entry.orig_filename, PurePosixPath(entry.orig_filename).parts
    if not name or name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        return "would lie outside its folder"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.filename.casefold() in seen:
        return "is there twice"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.file_size > RATIO_LIMIT * max(entry.compress_size, 1):
        return f"unpacks to more than {RATIO_LIMIT} times its size"
    return ""


def _label(entry: zipfile.ZipInfo) -> str:
    return repr(entry.orig_filename[:80])
