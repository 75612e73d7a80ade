"""One process at a time works on a repository's folder of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medfm_core.errors import ResourceError
from medfm_core.io.atomic import write_error
from medfm_core.progress import Progress

_POLL_S = 0.1


@contextmanager
def locked(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold a folder's lock; wait while another process has it, for as long as that process lives.

    Args:
        folder: what is locked; it is made.
        progress: told when there is something to wait for, and asked whether to go on waiting.

    Raises:
        CancelledError: no more is wanted.
        ResourceError: filelock is not installed.
        InputError: the folder cannot be written.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise ResourceError("fetching weights needs the package filelock", "run pip install filelock") from error
    lock = folder.with_name(folder.name + ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holder = FileLock(lock)
        told = False
        while True:
            try:
                holder.acquire(timeout=_POLL_S)
                break
            except Timeout:
                progress.check()
                if not told:
                    progress.message("Another process is working on these weights; waiting for it.")
                    told = True
    except OSError as error:
        raise write_error(error, lock) from error
    try:
        yield
    finally:
        holder.release()
