"""Which row of a manifest is which volume of a store: one JSON object per line, later lines replace earlier ones.

A line is added as soon as a volume is there, so a run that is killed loses nothing; a last line that is cut off is
skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.io.atomic import write_error
from medfm_core.strict import from_dict

INDEX = "index.jsonl"


@dataclass(frozen=True)
class IndexEntry:
    """One row of a manifest in a store.

    Attributes:
        identity: of the row (`ManifestRow.identity`).
        preparation: `preparation_id` of how it was prepared.
        status: "ok", "doubtful" (stored, look at it) or "failed" (not stored).
        sentences: why it is not "ok".
        key: in the store; None if it failed.
        content: `content_hash` of the image; None if it could not be read.
        files: `fingerprint` of image and label map.
        manifest: hash of the manifest's place, to notice that another manifest uses the same names.
    """

    identity: tuple[str, ...]
    preparation: str
    status: str
    sentences: tuple[str, ...] = ()
    key: str | None = None
    content: str | None = None
    files: str = ""
    manifest: str = ""


def preparation_id(canonical: Mapping[str, Any]) -> str:
    """Name what decides a preparation by 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]


def place_id(manifest: Path) -> str:
    """Name a manifest's place by 16 hexadecimal digits."""
    return hashlib.sha256(str(manifest.resolve()).encode()).hexdigest()[:16]


class StoreIndex:
    """The index of a store.

    Args:
        path: the file; it need not be there yet.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        text = ""
        if self.path.is_file():
            try:
                text = self.path.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise InputError(f"cannot read {self.path} ({error.strerror})", "check its permissions") from error
        self._entries = parse_index(text, self.path)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, preparation: str, identity: Sequence[str]) -> IndexEntry | None:
        """The latest entry of a row."""
        return self._entries.get((preparation, tuple(identity)))

    def add(self, entry: IndexEntry) -> None:
        """Write an entry at the end of the file.

        Raises:
            InputError, ResourceError: it cannot be written.
        """
        line = json.dumps(asdict(entry)) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                if file.tell() and not _ends_line(self.path):  # a run was killed in the middle of a line
                    line = "\n" + line
                file.write(line.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(error, self.path) from error
        self._entries[entry.preparation, entry.identity] = entry


def parse_index(text: str, path: Path | str) -> dict[tuple[str, tuple[str, ...]], IndexEntry]:
    """Read the lines of an index; the last of a row counts, what is no whole line is skipped."""
    entries = {}
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            data = json.loads(line)
        except ValueError:
            continue
        entry = from_dict(IndexEntry, data, f"line {number} of {path}")
        entries[entry.preparation, entry.identity] = entry
    return entries


def _ends_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
