"""Hashes of weights, with progress and a way to stop."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medfm_core.errors import WeightsError
from medfm_core.hashing import update_from
from medfm_core.progress import Stage


def sha256_of(path: Path, stage: Stage | None = None) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits.

    Args:
        path: the file.
        stage: advanced by the bytes read, where one is given.

    Raises:
        WeightsError: it cannot be read.
        CancelledError: no more is wanted.
    """
    return _digest(path, hashlib.sha256(), stage)


def git_hash_of(path: Path) -> str:
    """The name that git gives a file's content, 40 hexadecimal digits; the hub's etag of small files.

    Raises:
        WeightsError: it cannot be read.
    """
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    return _digest(path, digest, None)


def _digest(path: Path, digest: hashlib._Hash, stage: Stage | None) -> str:
    try:
        return update_from(digest, path, stage).hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror})", "check its place and rights") from error
