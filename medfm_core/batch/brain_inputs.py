"""Which studies of brain MRI a batch is about: each is a case of one or several scans."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medfm_core.batch.cases import Case, Found, stem_of
from medfm_core.batch.gathering import Place, Ways, folders_above, gather, text_of
from medfm_core.batch.inputs import NAME_COLUMNS, PATH_COLUMNS
from medfm_core.brain_sequence import SEQUENCES, sequence_of, without_sequence
from medfm_core.errors import InputError

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
    advice = "give DICOM folders, or files whose names say T1w, T2w or FLAIR, or a CSV with a column per sequence"
    ways = Ways(_of_place, _of_csv, _listed, _named, advice, what="brain MRI", opens_listed_folders=True)
    return gather(inputs, out, ways)


def _listed(path: Path) -> Found:
    return _study([path], _parents(path))


def _named(path: Path) -> Found:
    return _study([path], (stem_of(path),))


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


def _of_place(place: Place) -> Iterator[Found]:
    """A DICOM folder is one study, and so are the image files of a folder where no sequence comes twice."""
    if place.is_dicom:
        yield Found(place.folder, place.parts)
    else:
        yield from _of_images(place.images, place.parts)


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
    folders, stem = folders_above(source), stem_of(source)
    rest = without_sequence(stem)
    return (*folders, rest) if rest or not folders else folders
