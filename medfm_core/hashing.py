"""Hashes of files, read in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medfm_core.progress import Stage

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path, stage: Stage | None = None) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits.

    Args:
        path: the file.
        stage: advanced by the bytes read, where one is given.

    Raises:
        OSError: it cannot be read; callers say what that means.
        CancelledError: no more is wanted.
    """
    return update_from(hashlib.sha256(), path, stage).hexdigest()


def update_from(digest: hashlib._Hash, path: Path, stage: Stage | None = None) -> hashlib._Hash:
    """Feed a file's bytes to a digest and return it; arguments and errors as of `file_sha256`."""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            if stage is not None:
                stage.advance(len(chunk))
    return digest
