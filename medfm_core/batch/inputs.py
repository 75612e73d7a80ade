"""Which scans a batch is about: folders searched, lists and CSV files read, and a name for each case."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.results_folder import MANIFEST

IMAGES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
PATH_COLUMNS, NAME_COLUMNS, SERIES_COLUMN = ("path", "image", "source", "file"), ("case", "id", "name"), "series"
_LONGEST_NAME = 80
_PREAMBLE = 132


@dataclass(frozen=True)
class Case:
    """One scan, or the scans of one study of brain MRI.

    Attributes:
        name: of its folder of results; each name comes once, whatever the system makes of upper case.
        source: file or DICOM folder.
        series: which series of the folder; None where there is one.
        others: further scans of the same study.
        sequences: of all its scans, where the list says them; empty to go by their names.
    """

    name: str
    source: Path
    series: str | None = None
    others: tuple[Path, ...] = ()
    sequences: tuple[str, ...] = ()

    @property
    def scans(self) -> tuple[Path, ...]:
        """All of them."""
        return (self.source, *self.others)

    @property
    def told(self) -> str:
        """The inputs as the table names them."""
        return "; ".join(str(scan) for scan in self.scans)


@dataclass(frozen=True)
class Found:
    """A case before it has its name: `parts` are what a name can be made of, the last one first choice."""

    source: Path
    parts: tuple[str, ...]
    series: str | None = None
    name: str = ""
    others: tuple[Path, ...] = ()
    sequences: tuple[str, ...] = ()


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
    found: dict[tuple[Path, str | None], Found] = {}
    for given in inputs:
        path = Path(given)
        here = list(_of_input(path, out.absolute()))
        if not here:
            raise InputError(
                f"no scan was found in {path}", f"give DICOM folders or files that end in {', '.join(IMAGES)}"
            )
        for one in here:
            found.setdefault((one.source.absolute(), one.series), one)
    return named(list(found.values()))


def _of_input(path: Path, out: Path) -> Iterator[Found]:
    if not path.exists():
        raise InputError(f"{path} does not exist", "check the path")
    if path.is_dir():
        yield from _of_folder(path, path, out)
    elif path.suffix.lower() == ".csv":
        yield from _of_csv(path)
    elif path.suffix.lower() == ".txt":
        yield from _of_list(path)
    else:
        yield Found(path, (stem_of(path),))


def _of_list(path: Path) -> Iterator[Found]:
    for scan in lines_of(path):
        yield _listed(scan)


def lines_of(path: Path) -> Iterator[Path]:
    """One path a line, relative to the list; empty lines and those that begin with # are passed over."""
    for line in text_of(path).splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            yield path.parent / text


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
    return Found(
        source, (*(part for part in source.parent.parts[-2:] if part != os.sep), stem_of(source)), series, name
    )


def text_of(path: Path) -> str:
    """The text of a list.

    Raises:
        InputError: it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text ({error})", "save it as UTF-8") from error


def _of_folder(folder: Path, root: Path, out: Path) -> Iterator[Found]:
    """Scans in a folder and below: image files, and DICOM folders whole; hidden folders and results are passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list {folder} ({error.strerror})", "check its rights") from error
    if folder.absolute() == out or any(entry.name == MANIFEST for entry in entries):
        return
    files = [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    images = [file for file in files if file.name.lower().endswith(IMAGES)]
    if any(is_dicom(file) for file in files if file not in images):
        yield from _series_of(folder, root)
        return
    for image in images:
        yield Found(image, (*image.parent.relative_to(root).parts, stem_of(image)))
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            yield from _of_folder(entry, root, out)


def _series_of(folder: Path, root: Path) -> Iterator[Found]:
    """The CT series of a DICOM folder; the folder itself where it has one or none, which its analysis will say."""
    from medfm_core.io.dicom.reader import list_series

    parts = (root.name, *folder.relative_to(root).parts)
    volumes = [series for series in list_series(folder) if series.is_volume and series.modality in ("CT", "")]
    if len(volumes) < 2:
        yield Found(folder, parts)
        return
    for series in volumes:
        yield Found(folder, (*parts, f"series {series.number or series.hash}"), series.hash)


def is_dicom(file: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with file.open("rb") as stream:
            return stream.read(_PREAMBLE)[128:] == b"DICM"
    except OSError:
        return False


def named(found: Sequence[Found]) -> tuple[Case, ...]:
    """The shortest names that tell the scans apart."""
    lengths = [1] * len(found)
    for _ in range(max((len(one.parts) for one in found), default=0)):
        names = [one.name or "-".join(one.parts[-length:]) for one, length in zip(found, lengths, strict=True)]
        count = Counter(_safe(name).casefold() for name in names)
        for index, name in enumerate(names):
            lengths[index] += count[_safe(name).casefold()] > 1
    cases: dict[str, Case] = {}
    for one, name in zip(found, names if found else (), strict=True):
        chosen, number = _safe(name), 1
        while chosen.casefold() in cases:
            number += 1
            chosen = f"{_safe(name)}-{number}"
        cases[chosen.casefold()] = Case(chosen, one.source, one.series, one.others, one.sequences)
    return tuple(cases.values())


def _safe(name: str) -> str:
    """A name that every system takes as that of a folder, and no table as a formula."""
    text = re.sub(r'[<>:"/\\|?*\x00-\x1f\ud800-\udfff]', "_", name).strip(" .").lstrip("=+-@~")
    if len(text.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        text = text.encode()[: _LONGEST_NAME - 9].decode("utf-8", "ignore") + f"-{digest}"
    is_reserved = re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", text, re.IGNORECASE)
    return f"_{text}" if is_reserved or not text else text


def stem_of(path: Path) -> str:
    """A file's name without the ending of an image."""
    name = path.name
    ending = next((ending for ending in IMAGES if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)] or name
