"""What a batch has done so far: one line per finished or failed case, and whether a result is still the right one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from medfm_core.analysis import Options
from medfm_core.batch.cases import Case
from medfm_core.cards import ModelCard
from medfm_core.hashing import file_sha256
from medfm_core.io.atomic import write_error
from medfm_core.results_folder import MANIFEST

JOURNAL = "batch.jsonl"
_NOT_OF_THE_RESULT = ("device", "threads", "overwrite", "series", "card_id", "findings_card", "body_card")
_IN_TWO_FILES = (".mhd", ".nhdr")


class Journal:
    """The lines of `batch.jsonl`; a last line that a killed process left unfinished is passed over.

    Args:
        folder: the batch's folder of results.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._entries: dict[str, Mapping[str, Any]] = {}
        with suppress(OSError):
            for line in self._path.read_bytes().splitlines():
                with suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(line)
                    self._entries[entry["case"]] = entry

    def entry(self, case: Case) -> Mapping[str, Any]:
        """The last line about a case; empty where there is none about this very input."""
        entry = self._entries.get(case.name, {})
        return entry if all(entry.get(name) == value for name, value in _input_of(case).items()) else {}

    def add(self, case: Case, state: str, **fields: Any) -> None:
        """Write a line, and see that it reached the disk.

        Raises:
            ResourceError, InputError: it cannot be written.
        """
        entry = {"case": case.name, **_input_of(case), "state": state}
        self._entries[case.name] = entry | fields
        line = json.dumps(entry | fields).encode("ascii") + b"\n"
        try:
            with self._path.open("ab+") as stream:
                end = stream.seek(0, os.SEEK_END)
                if end:
                    stream.seek(end - 1)
                    line = line if stream.read(1) == b"\n" else b"\n" + line  # after half a line that was left
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise write_error(error, self._path) from error


def _input_of(case: Case) -> dict[str, Any]:
    """What says which input it was; a case of one scan has no further keys."""
    entry: dict[str, Any] = {"source": str(case.source.absolute()), "series": case.series}
    if case.others:
        entry["others"] = [str(scan.absolute()) for scan in case.others]
    if case.sequences:
        entry["sequences"] = list(case.sequences)
    return entry


def stamp_of(case: Case) -> str | None:
    """What changes when an input's files do: their names, sizes and times; None where that cannot be told."""
    facts: list[tuple[str, int, int]] = []
    for source in case.scans:
        if source.suffix.lower() in _IN_TWO_FILES:
            return None
        try:
            files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())
            here = [(str(file.relative_to(source)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except OSError:
            return None
        if not here:
            return None
        facts += here
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def whole_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of a result whose files are all there and whole.

    Args:
        folder: the case's.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: there is none, or it or a file is damaged.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name, sha256 in manifest["files"].items():
        if file_sha256(folder / name) != sha256:
            raise ValueError(f"{name} is another file")
    return manifest


def matching_manifest(
    folder: Path,
    options: Options,
    card: ModelCard,
    findings_card: ModelCard | None,
    body_card: ModelCard | None = None,
) -> Mapping[str, Any] | None:
    """The manifest of a result that these models made with these options, and whose files are all whole; else None.

    Args:
        folder: the case's.
        options: those of now; device, threads and overwriting make no other result.
        card: the segmenter.
        findings_card: the findings model; None where findings are not assessed.
        body_card: the whole-body model; None where there is none.
    """
    try:
        manifest = whole_manifest(folder)
        blocks = (manifest, manifest.get("findings"), manifest.get("whole_body"))
        made_by = [block and block["model"]["card_sha256"] for block in blocks]
        wanted = [known and known.digest for known in (card, findings_card, body_card)]
        if made_by != wanted or _of_result(manifest["options"]) != _of_result(_plain(options)):
            return None
        manifest["input"]["voxels_sha256"], manifest["input"]["affine_ras"], manifest["structures"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return manifest


def is_same_scan(manifest: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether a result was made of a scan: the same voxels in the same place."""
    given = manifest["input"]
    return all(given.get(name) == identity.get(name) for name in ("voxels_sha256", "shape", "affine_ras"))


def _plain(options: Options) -> dict[str, Any]:
    return json.loads(json.dumps(vars(options)))


def _of_result(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that make another result; whether findings are assessed is told by their model."""
    return {k: v for k, v in options.items() if k not in (*_NOT_OF_THE_RESULT, "findings")}
