"""One file from the hub or a mirror: resumed, verified, whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medfm_core.errors import MedFMError
from medfm_core.hub.client import HubClient, Remote
from medfm_core.hub.hashing import git_hash_of, sha256_of
from medfm_core.hub.places import check_room, part_path
from medfm_core.hub.problems import Asked, HubError, WrongFileError
from medfm_core.progress import Progress


@dataclass(frozen=True)
class Wanted:
    """One file that is to be fetched.

    Attributes:
        asked: its repository, name and commit.
        sha256: of its bytes; None for what the hub says of this commit.
        bytes: its size; None likewise.
    """

    asked: Asked
    sha256: str | None
    bytes: int | None


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched and is what was wanted, still under its temporary name."""

    part: Path
    sha256: str
    bytes: int


def download(wanted: Wanted, clients: Sequence[HubClient], cache: Path, progress: Progress) -> Fetched:
    """Fetch one file; a beginning that an earlier try left is gone on with.

    Args:
        wanted: the file.
        clients: the hub and then its mirrors: the next one is asked when one cannot give the file.
        cache: the cache's folder.
        progress: told of the bytes.

    Returns:
        Where it lies; nothing is there yet under its own name.

    Raises:
        HubError: none of them could give it.
        WrongFileError: what they have is another file.
        ResourceError: the disk is full.
        CancelledError: no more is wanted.
    """
    first: MedFMError | None = None
    for client in clients:
        try:
            return _from_one(wanted, client, cache, progress)
        except (HubError, WrongFileError) as error:
            first = first or error
    assert first is not None
    raise first


def _from_one(wanted: Wanted, client: HubClient, cache: Path, progress: Progress) -> Fetched:
    asked = replace(wanted.asked, endpoint=client.endpoint)
    if wanted.sha256 is not None and wanted.bytes is not None:
        part = part_path(cache, wanted.sha256)
        if part.is_file() and part.stat().st_size == wanted.bytes and not part.is_symlink():
            if sha256_of(part) == wanted.sha256:  # all came before, and the process ended then
                return Fetched(part, wanted.sha256, wanted.bytes)
            part.unlink()
    remote = client.look(asked)
    size = _agree(wanted, remote, asked)
    part = part_path(cache, wanted.sha256 or f"unpinned-{_plain(remote.etag, asked)}")
    if part.is_file() and part.stat().st_size >= size:
        part.unlink()
    resumed = part.is_file() and part.stat().st_size > 0
    sha256 = _fetch_and_check(client, remote, part, replace(wanted, asked=asked, bytes=size), progress)
    if sha256 is None and resumed:  # the beginning may have been the damaged half
        sha256 = _fetch_and_check(client, remote, part, replace(wanted, asked=asked, bytes=size), progress)
    if sha256 is None:
        raise WrongFileError(
            f"what {client.endpoint} sent as {asked.file} of {asked.repo} is not the file that the card means",
            "try again; if it happens twice, do not use this mirror and report it",
        )
    return Fetched(part, sha256, size)


def _fetch_and_check(client: HubClient, remote: Remote, part: Path, wanted: Wanted, progress: Progress) -> str | None:
    """The sha256 of what came; None, and nothing left, when it is not what was wanted."""
    size = wanted.bytes or 0
    have = part.stat().st_size if part.is_file() else 0
    check_room(part.parent, size - have)
    with progress.stage(f"Fetch {wanted.asked.file}", total=size) as stage:
        if have:
            stage.advance(have)
        client.fetch(remote, part, size, stage, wanted.asked)
    with progress.stage(f"Verify {wanted.asked.file}", total=size) as stage:
        sha256 = sha256_of(part, stage)
    expected = wanted.sha256 or remote.etag
    found = git_hash_of(part) if expected and len(expected) == 40 else sha256
    if part.stat().st_size == size and found == expected:
        return sha256
    part.unlink()
    return None


def _agree(wanted: Wanted, remote: Remote, asked: Asked) -> int:
    """The file's size, after comparing what the hub says of it with what the card says."""
    if remote.commit is not None and remote.commit != asked.revision:
        raise WrongFileError(
            f"{asked.endpoint} answers with revision {remote.commit[:12]} of {asked.repo}", "do not use this mirror"
        )
    is_sha256 = bool(re.fullmatch("[0-9a-f]{64}", remote.etag or ""))
    if wanted.sha256 is not None and wanted.bytes is not None:
        if (is_sha256 and remote.etag != wanted.sha256) or remote.bytes not in (None, wanted.bytes):
            raise WrongFileError(
                f"{asked.file} at {asked.endpoint} is not the file that the card means "
                f"({remote.bytes or 0:,} bytes instead of {wanted.bytes:,})"
                if remote.bytes not in (None, wanted.bytes)
                else f"{asked.file} at {asked.endpoint} is not the file that the card means (its sha256 differs)",
                "check HF_ENDPOINT and whether a login page of the network answers",
            )
        return wanted.bytes
    if remote.bytes is None or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", remote.etag or ""):
        raise HubError(f"{asked.endpoint} does not say what {asked.file} is", "use a hub that does")
    return remote.bytes


def _plain(etag: str | None, asked: Asked) -> str:
    return etag if etag and re.fullmatch("[0-9a-f]+", etag) else asked.revision
