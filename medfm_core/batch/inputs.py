"""Which CTs a batch is about."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from medfm_core.batch.cases import IMAGES, Case, Found, stem_of
from medfm_core.batch.gathering import Place, Ways, folders_above, gather, text_of
from medfm_core.errors import InputError

PATH_COLUMNS, NAME_COLUMNS, SERIES_COLUMN = ("path", "image", "source", "file"), ("case", "id", "name"), "series"


def find_cases(inputs: Iterable[str | Path], out: Path) -> tuple[Case, ...]:
    """List the scans.

    Args:
        inputs: scans, folders to search, `.txt` lists of paths, and `.csv` files with a column of paths.
        out: the folder of results, which is not searched.

    Returns:
        In the order given, within a folder by path; a scan that is named twice comes once.

    Raises:
        InputError: an input does not exist or names no scan, or a list cannot be read.
    """
    advice = f"give DICOM folders or files that end in {', '.join(IMAGES)}"
    return gather(inputs, out, Ways(_of_place, _of_csv, _listed, lambda path: Found(path, (stem_of(path),)), advice))


def _of_place(place: Place) -> Iterator[Found]:
    """Each image file; of a DICOM folder its series."""
    if place.is_dicom:
        yield from _series_of(place)
    else:
        for image in place.images:
            yield Found(image, (*place.parts[1:], stem_of(image)))


def _of_csv(path: Path) -> Iterator[Found]:
    rows = csv.DictReader(text_of(path).splitlines())
    columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
    place = next((columns[name] for name in PATH_COLUMNS if name in columns), None)
    if place is None:
        raise InputError(
            f"{path} has no column of paths (it has {', '.join(columns) or 'none'})",
            f"name the column with the scans' paths {' or '.join(PATH_COLUMNS)}",
        )
    name = next((columns[one] for one in NAME_COLUMNS if one in columns), None)
    for number, row in enumerate(rows, start=2):
        if not (row[place] or "").strip():
            raise InputError(f"line {number} of {path} has no path", "fill it in, or delete the line")
        series = (row.get(columns.get(SERIES_COLUMN, ""), "") or "").strip()
        own = (row[name] or "").strip() if name else ""
        yield _listed(path.parent / row[place].strip(), series or None, own)


def _listed(source: Path, series: str | None = None, name: str = "") -> Found:
    return Found(source, (*folders_above(source), stem_of(source)), series, name)


def _series_of(place: Place) -> Iterator[Found]:
    """The CT series of a DICOM folder; the folder itself where it has one or none, which its analysis will say."""
    from medfm_core.io.dicom.reader import list_series

    volumes = [series for series in list_series(place.folder) if series.is_volume and series.modality in ("CT", "")]
    if len(volumes) < 2:
        yield Found(place.folder, place.parts)
        return
    for series in volumes:
        yield Found(place.folder, (*place.parts, f"series {series.number or series.hash}"), series.hash)
