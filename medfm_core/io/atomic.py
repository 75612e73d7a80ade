"""Files that are there whole or not at all.

A file is written under a temporary name beside its place and moved over it at the end. What goes wrong on the way
leaves neither a partial file nor the temporary one, and an older file of that name stays as it was.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medfm_core.errors import InputError, MedFMError, ResourceError
from medfm_core.io.parts import part_name

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Hand out a temporary path to write; move it to `path` when the block ends well.

    The temporary name keeps the suffixes of `path`, since some writers choose the format by them.

    Args:
        path: the file to make or replace; its folder must exist.

    Yields:
        The path to write, in the same folder; nothing is there yet.

    Raises:
        ResourceError: the disk is full.
        InputError: the folder is missing or not writable, or `path` is a folder.
    """
    path = Path(path)
    try:
        if not path.parent.is_dir():
            raise InputError(
                f"cannot write {path}: its folder does not exist", "make the folder or choose another place"
            )
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder", "choose another name")
    except OSError as error:
        raise write_error(error, path) from error
    temporary = path.with_name(part_name(path.name))
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes; see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def atomic_text(path: str | Path, text: str) -> None:
    r"""Write text as UTF-8 with `\n` line ends; see `atomic_write`."""
    atomic_bytes(path, text.encode("utf-8"))


def write_error(error: OSError, path: str | Path) -> MedFMError:
    """Turn a failed write into the error that says what to do."""
    if error.errno in _FULL:
        return ResourceError(
            f"cannot write {path}: no space is left on the disk", "free some space or use another disk"
        )
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return InputError(f"cannot write {path}: {reason}", "choose a place that you may write to")
