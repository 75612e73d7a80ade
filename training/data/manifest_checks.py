"""Checks across a manifest's rows: duplicates, missing files, and leakage from one split into another."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from medfm_core.errors import InputError
from training.data.manifest import ManifestRow
from training.data.source_files import content_hash, content_size, source_files

Problems = list[tuple[int, str]]


def row_problems(rows: Sequence[ManifestRow]) -> Problems:
    """Duplicate rows, splits given for some rows only, and subjects in two splits."""
    problems: Problems = []
    for row, first in _repeated(rows, lambda row: os.path.normpath(row.path) + "\n" + row.series):
        problems.append((row.number, f"the same path as row {first.number}"))
    listed = {number for number, _ in problems}
    for row, first in _repeated(rows, lambda row: (row.subject, row.study, row.modality, row.sequence, row.series)):
        if row.number not in listed and row.subject and row.study:
            problems.append(
                (
                    row.number,
                    f"the same subject, study and modality as row {first.number}; "
                    "tell volumes of one study apart by the column sequence",
                )
            )
    if any(row.split for row in rows):
        problems += [(row.number, "split is empty, but other rows have one") for row in rows if not row.split]
    return problems + split_problems((row.number, row.subject, row.split) for row in rows)


def split_problems(rows: Iterable[tuple[int, str, str | None]]) -> Problems:
    """Subjects that are in more than one split.

    Args:
        rows: row number, subject and split of each; rows without a split do not count.
    """
    first: dict[str, tuple[int, str]] = {}
    problems = []
    for number, subject, split in rows:
        if not subject or not split:
            continue
        at, other = first.setdefault(subject, (number, split))
        if other != split:
            problems.append((number, f"leakage: the subject is in {split!r} here and in {other!r} in row {at}"))
    return problems


def file_problems(rows: Sequence[ManifestRow]) -> Problems:
    """Images and label maps that are not there."""
    problems = []
    for row in rows:
        if row.written and not row.path.exists():
            problems.append((row.number, f"the image {row.path} is not there"))
        if row.labels is not None and not row.labels.is_file():
            problems.append((row.number, f"the label map {row.labels} is not there"))
    return problems


def content_problems(rows: Sequence[ManifestRow]) -> Problems:
    """Images whose files hold the same, under whatever names.

    Only sources of the same size are read. Series of one DICOM folder share its files, so a folder counts once.
    """
    by_size: dict[Hashable, dict[Path, ManifestRow]] = defaultdict(dict)
    problems: Problems = []
    for row in rows:
        try:
            by_size[content_size(source_files(row.path))].setdefault(row.path, row)
        except (InputError, OSError) as error:
            problems.append((row.number, str(getattr(error, "what", error))))
    hashes = []
    for same in by_size.values():
        for path, row in same.items() if len(same) > 1 else ():
            try:
                hashes.append((row, content_hash(source_files(path))))
            except InputError as error:
                problems.append((row.number, error.what))
    return problems + same_content(hashes)


def same_content(hashes: Iterable[tuple[ManifestRow, str]]) -> Problems:
    """Rows with the same image; across subjects or splits that is leakage.

    Args:
        hashes: rows with the hash of what their files hold.
    """
    first: dict[str, ManifestRow] = {}
    problems = []
    for row, content in sorted(hashes, key=lambda pair: pair[0].number):
        other = first.setdefault(content, row)
        if other is row or other.path == row.path:  # series of one folder share their files
            continue
        where = f"the file holds the same image as row {other.number}"
        if other.split != row.split:
            where = f"leakage: {where}, which is in another split"
        elif other.subject != row.subject:
            where += ", which is another subject's"
        problems.append((row.number, where))
    return problems


def _repeated(rows: Sequence[ManifestRow], key) -> Iterable[tuple[ManifestRow, ManifestRow]]:
    first: dict[Hashable, ManifestRow] = {}
    for row in rows:
        other = first.setdefault(key(row), row)
        if other is not row:
            yield row, other
