"""Which files an image is made of, and what identifies their content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.hashing import file_sha256

_DETACHED = re.compile(rb"^(?:ElementDataFile\s*=|data ?file\s*:)\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_PAIRS = {".hdr": ".img", ".img": ".hdr"}


def source_files(path: Path) -> tuple[Path, ...]:
    """List the files that hold an image: the file, those its header names, or all of a DICOM folder.

    Args:
        path: a file or folder that exists.

    Returns:
        The files in an order that does not depend on the machine.

    Raises:
        InputError: a folder without files, or a header that names data which is not there.
    """
    if path.is_dir():
        files = sorted((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.relative_to(path).as_posix())
        if not files:
            raise InputError(f"the folder {path} holds no files", "give an image file or a folder of DICOM files")
        return tuple(files)
    ending = path.suffix.lower()
    if ending in (".mhd", ".nhdr"):
        return path, *_named_in(path)
    if ending in _PAIRS:
        other = path.with_suffix(_PAIRS[ending])
        return (path, other) if other.is_file() else (path,)
    return (path,)


def content_size(files: Iterable[Path]) -> tuple[int, ...]:
    """Bytes of each file: sources of other sizes cannot hold the same."""
    return tuple(sorted(os.stat(file).st_size for file in files))


def content_hash(files: Iterable[Path]) -> str:
    """Hash what the files hold; neither names nor order count.

    Returns:
        For one file the sha256 of its bytes; for several that of their sorted sha256.

    Raises:
        InputError: a file cannot be read.
    """
    hashes = sorted(_sha256(file) for file in files)
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def fingerprint(files: Iterable[Path]) -> str:
    """Hash sizes and times of change: the same fingerprint means that nobody wrote to the files since.

    Raises:
        InputError: a file is not there.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            state = os.stat(file)
        except OSError as error:
            raise InputError(f"cannot read {file} ({error.strerror})", "check that it is there") from error
        digest.update(f"{file.name}:{state.st_size}:{state.st_mtime_ns};".encode())
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise InputError(f"cannot read {file} ({error.strerror})", "check that it is there and may be read") from error


def _named_in(header: Path) -> list[Path]:
    try:
        found = _DETACHED.search(header.read_bytes()[: 1 << 16])
    except OSError as error:
        raise InputError(f"cannot read {header} ({error.strerror})", "check that it may be read") from error
    name = found.group(1).decode("utf-8", "replace") if found else "LOCAL"
    if name.upper() == "LOCAL":
        return []
    data = header.parent / name
    if data.is_file():
        return [data]
    if name.upper().startswith("LIST") or "%" in name:  # several data files: take all that lie beside it
        return sorted(p for p in header.parent.iterdir() if p.is_file() and p != header)
    raise InputError(f"{header} names the data file {name}, which is not there", "copy both files")
