"""Which studies of brain MRI a batch is about: each is a case of one or several scans."""

from __future__ import annotations

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medfm_core.batch.inputs import (
    IMAGES,
    NAME_COLUMNS,
    PATH_COLUMNS,
    Case,
    Found,
    is_dicom,
    lines_of,
    named,
    stem_of,
    text_of,
)
from medfm_core.brain_sequence import SEQUENCES, sequence_of, without_sequence
from medfm_core.errors import InputError
from medfm_core.results_folder import MANIFEST

_LOG = logging.getLogger(__name__)


def find_studies(inputs: Iterable[str | Path], out: Path) -> tuple[Case, ...]:
    """List the studies.

    Args:
        inputs: folders to search, `.txt` lists of scans and folders, `.csv` files with a column per sequence, single
            scans.
        out: the folder of results, which is not searched.

    Returns:
        In the order given, within a folder by path; a study whose first scan is named twice comes once.

    Raises:
        InputError: an input does not exist or names no scan, or a list cannot be read.
    """
    found: dict[Path, Found] = {}
    for given in inputs:
        path = Path(given)
        here = list(_of_input(path, out.absolute()))
        if not here:
            raise InputError(
                f"no brain MRI was found in {path}",
                "give DICOM folders, or files whose names say T1w, T2w or FLAIR, or a CSV with a column per sequence",
            )
        for one in here:
            found.setdefault(one.source.absolute(), one)
    return named(list(found.values()))


def _of_input(path: Path, out: Path) -> Iterator[Found]:
    if not path.exists():
        raise InputError(f"{path} does not exist", "check the path")
    if path.is_dir():
        yield from _of_folder(path, path, out)
    elif path.suffix.lower() == ".csv":
        yield from _of_csv(path)
    elif path.suffix.lower() == ".txt":
        for listed in lines_of(path):
            if listed.is_dir():
                yield from _of_folder(listed, listed, out)
            else:  # one that is missing is a case that fails, and stops no other
                yield _study([listed], _parents(listed))
    else:
        yield _study([path], (stem_of(path),))


def _of_csv(path: Path) -> Iterator[Found]:
    """A column per sequence, or one of paths, each of a scan or of a folder that is a study."""
    rows = csv.DictReader(text_of(path).splitlines())
    columns = {name.strip(): name for name in rows.fieldnames or ()}
    by_sequence = {name: column for name, column in columns.items() if _sequence_named(name)}
    lower = {name.lower(): column for name, column in columns.items()}
    place = next((lower[name] for name in PATH_COLUMNS if name in lower), None)
    if not by_sequence and place is None:
        raise InputError(
            f"{path} has no column of scans (it has {', '.join(columns) or 'none'})",
            f"name the columns {', '.join(SEQUENCES)}, or one column {PATH_COLUMNS[0]}",
        )
    own = next((lower[name] for name in NAME_COLUMNS if name in lower), None)
    for number, row in enumerate(rows, start=2):
        wanted = by_sequence or {"": place}
        given = {name: (row[column] or "").strip() for name, column in wanted.items() if (row[column] or "").strip()}
        if not given:
            raise InputError(f"line {number} of {path} names no scan", "fill it in, or delete the line")
        scans = [path.parent / text for text in given.values()]
        sequences = tuple(filter(None, map(_sequence_named, given)))
        yield _study(scans, _parents(scans[0]), sequences, (row[own] or "").strip() if own else "")


def _sequence_named(column: str) -> str | None:
    wanted = column.lower().removesuffix("w")
    return next((name for name in SEQUENCES if name.lower().removesuffix("w") == wanted), None)


def _of_folder(folder: Path, root: Path, out: Path) -> Iterator[Found]:
    """Studies in a folder and below: a DICOM folder is one, and so are image files; results are passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list {folder} ({error.strerror})", "check its rights") from error
    if folder.absolute() == out or any(entry.name == MANIFEST for entry in entries):
        return
    files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    images = [file for file in files if file.name.lower().endswith(IMAGES)]
    parts = (root.name, *folder.relative_to(root).parts)
    if any(is_dicom(file) for file in files if file not in images):
        yield Found(folder, parts)
        return
    yield from _of_images(images, parts)
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _of_folder(entry, root, out)


def _of_images(images: Sequence[Path], parts: tuple[str, ...]) -> Iterator[Found]:
    """One study where no sequence comes twice; else one for all files whose names differ in the sequence alone."""
    known = [image for image in images if sequence_of(stem_of(image))]
    if len(known) < len(images):
        _LOG.warning("%d files were passed over: their names say no sequence of MRI", len(images) - len(known))
    if not known:
        return
    if max(Counter(sequence_of(stem_of(image)) for image in known).values()) == 1:
        yield _study(known, parts if len(known) > 1 else (*parts, stem_of(known[0])))
        return
    groups: dict[str, list[Path]] = {}
    for image in known:
        groups.setdefault(without_sequence(stem_of(image)), []).append(image)
    for rest, members in groups.items():
        yield _study(members, (*parts, rest or stem_of(members[0])))


def _study(scans: Sequence[Path], parts: tuple[str, ...], sequences: tuple[str, ...] = (), name: str = "") -> Found:
    return Found(scans[0], parts, None, name, tuple(scans[1:]), sequences)


def _parents(source: Path) -> tuple[str, ...]:
    """What a study may be called: its file without the sequence, below its folders."""
    folders = tuple(part for part in source.parent.parts[-2:] if part != os.sep)
    stem = stem_of(source)
    rest = without_sequence(stem)
    return (*folders, rest) if rest or not folders else folders
