"""What a card and the cache of fetched weights share: how a file is made of a published one, and where files lie.

The cache holds `hub/<owner>--<name>/<commit>/`, in it the card's files under their names and `medfm-record.json`, which
says of each what it is. `hub/<owner>--<name>/pin.json` names the commit of a repository that the card does not pin.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from medfm_core.errors import InputError
from medfm_core.strict import from_dict, to_dict

RECORD = "medfm-record.json"
PIN = "pin.json"
_PATTERN_LIMIT = 300


@dataclass(frozen=True)
class KeyRule:
    r"""One rule of a key map: what it matches becomes `to`, or is left out.

    Attributes:
        match: regular expression that must match the whole name, e.g. "module\.(.+)".
        to: the new name, with `\1` for what the first pair of brackets matched; None to leave the tensor out.
        drop_leading: whether a first axis of length 1, which some versions of a library write and others do not, is
            dropped where the tensor has one.
    """

    match: str
    to: str | None = None
    drop_leading: bool = False

    def __post_init__(self) -> None:
        if not 0 < len(self.match) <= _PATTERN_LIMIT:
            raise ValueError(f"match must have 1 to {_PATTERN_LIMIT} characters")
        try:
            compiled = re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match {self.match!r} is no regular expression ({error})") from error
        if self.drop_leading and self.to is None:
            raise ValueError("drop_leading needs a rule with a new name")
        for number in re.findall(r"\\(\d+)", self.to or ""):
            if int(number) > compiled.groups:
                raise ValueError(f"to {self.to!r} names group {number}, of which match {self.match!r} has none")


@dataclass(frozen=True)
class Conversion:
    """How a safetensors file is made of a published checkpoint.

    Attributes:
        file: its name in the repository, with "/" between folders.
        entry: names of the nested mappings that lead to the tensors, e.g. `("state_dict",)`; with "a|b" the first that
            is there.
        rules: applied in order to each name; the first that matches decides, and a name that none matches stays.
    """

    file: str
    entry: tuple[str, ...] = ()
    rules: tuple[KeyRule, ...] = ()

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file or "\\" in self.file or ":" in self.file or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file {self.file!r} must be a relative name without '..', ':' or backslash")

    @property
    def digest(self) -> str:
        """sha256 of the rules: other rules make another file."""
        return hashlib.sha256(json.dumps(to_dict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Recorded:
    """What is recorded of one file of the cache.

    Attributes:
        sha256: of its bytes.
        bytes: its size.
        changed_ns: its time of change when its bytes were last checked.
        made_of: sha256 of the published file that it was converted from.
        rules: digest of the conversion.
    """

    sha256: str
    bytes: int
    changed_ns: int = 0
    made_of: str | None = None
    rules: str | None = None

    def is_made_by(self, conversion: Conversion, source_sha256: str | None) -> bool:
        """Whether it was made by these rules, of that file where it is known."""
        return self.rules == conversion.digest and source_sha256 in (None, self.made_of)


@dataclass(frozen=True)
class _Record:
    files: Mapping[str, Recorded] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pin:
    revision: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise ValueError("revision must be a full commit")


def repository_folder(cache: Path, repo: str) -> Path:
    """The folder of all commits of a repository.

    Args:
        cache: the cache's folder.
        repo: "owner/name" or "datasets/owner/name".
    """
    return cache / "hub" / repo.replace("/", "--")


def fetched_folder(cache: Path, repo: str, revision: str | None) -> Path | None:
    """The folder of one commit; it need not be there.

    Args:
        cache: the cache's folder.
        repo: "owner/name" or "datasets/owner/name".
        revision: the commit; None for the one that was pinned at the first fetch.

    Returns:
        The folder; None when no commit was pinned yet.
    """
    folder = repository_folder(cache, repo)
    commit = revision or read_pin(folder)
    return None if commit is None else folder / commit


def read_pin(folder: Path) -> str | None:
    """The commit that a repository is pinned to on this machine; None when it is not."""
    pin = _read(folder / PIN, _Pin)
    return None if pin is None else pin.revision


def write_pin(folder: Path, revision: str) -> None:
    """Pin a repository on this machine."""
    from medfm_core.io.atomic import atomic_text  # slow to import, for all that its package reads

    atomic_text(folder / PIN, json.dumps(asdict(_Pin(revision))) + "\n")


def read_record(folder: Path) -> dict[str, Recorded]:
    """What is recorded of the files of a commit, by name; a record that cannot be read counts as none."""
    record = _read(folder / RECORD, _Record)
    return {} if record is None else dict(record.files)


def write_record(folder: Path, files: Mapping[str, Recorded]) -> None:
    """Replace the record of a commit's folder."""
    from medfm_core.io.atomic import atomic_text

    data = {"files": {name: asdict(entry) for name, entry in sorted(files.items())}}
    atomic_text(folder / RECORD, json.dumps(data, indent=1) + "\n")


def _read(path: Path, kind: type) -> object | None:
    try:
        return from_dict(kind, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, RecursionError, InputError):
        return None
