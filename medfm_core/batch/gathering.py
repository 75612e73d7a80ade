"""From what the user names to what a case can be made of: folders searched, lists and tables read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medfm_core.batch.cases import IMAGES, Case, Found, named
from medfm_core.errors import InputError
from medfm_core.results_folder import MANIFEST

_PREAMBLE = 132  # bytes before a DICOM file's own, with its mark at the end


@dataclass(frozen=True)
class Place:
    """A folder that was searched.

    Attributes:
        folder: where it is.
        parts: its name and those of the folders above, the one that was named first.
        images: its files that end as images do.
        is_dicom: whether it holds files of DICOM; then no folder below it is searched.
    """

    folder: Path
    parts: tuple[str, ...]
    images: tuple[Path, ...]
    is_dicom: bool


@dataclass(frozen=True)
class Ways:
    """How one kind of cases is made.

    Attributes:
        place: of a folder that was searched.
        table: of a `.csv` file.
        line: of a path that a `.txt` file lists.
        file: of a file that was named itself.
        advice: what to give instead, where nothing was found.
        what: of which nothing was found.
        opens_listed_folders: whether a folder that a `.txt` file lists is searched, and is no case itself.
    """

    place: Callable[[Place], Iterable[Found]]
    table: Callable[[Path], Iterable[Found]]
    line: Callable[[Path], Found]
    file: Callable[[Path], Found]
    advice: str
    what: str = "scan"
    opens_listed_folders: bool = False


def gather(inputs: Iterable[str | Path], out: Path, ways: Ways) -> tuple[Case, ...]:
    """List the cases.

    Args:
        inputs: what the user named.
        out: the folder of results, which is not searched.
        ways: how a case is made.

    Returns:
        In the order given, within a folder by path; what is named twice comes once.

    Raises:
        InputError: an input does not exist or names no scan, or a list cannot be read.
    """
    found: dict[tuple[Path, str | None], Found] = {}
    for given in inputs:
        path = Path(given)
        here = list(_of_input(path, out.absolute(), ways))
        if not here:
            raise InputError(f"no {ways.what} was found in {path}", ways.advice)
        for one in here:
            found.setdefault((one.source.absolute(), one.series), one)
    return named(list(found.values()))


def _of_input(path: Path, out: Path, ways: Ways) -> Iterator[Found]:
    if not path.exists():
        raise InputError(f"{path} does not exist", "check the path")
    if path.is_dir():
        yield from _of_folder(path, out, ways)
    elif path.suffix.lower() == ".csv":
        yield from ways.table(path)
    elif path.suffix.lower() == ".txt":
        for listed in _lines_of(path):
            if ways.opens_listed_folders and listed.is_dir():
                yield from _of_folder(listed, out, ways)
            else:  # one that is missing is a case that fails, and stops no other
                yield ways.line(listed)
    else:
        yield ways.file(path)


def _of_folder(folder: Path, out: Path, ways: Ways) -> Iterator[Found]:
    for place in _places(folder, folder, out):
        yield from ways.place(place)


def _places(folder: Path, root: Path, out: Path) -> Iterator[Place]:
    """A folder and those below it; hidden ones, links to folders and folders of results are passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot list {folder} ({error.strerror})", "check its rights") from error
    if folder.absolute() == out or any(entry.name == MANIFEST for entry in entries):
        return
    seen = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry for entry in seen if entry.is_file()]
    images = tuple(file for file in files if file.name.lower().endswith(IMAGES))
    is_dicom = any(_begins_as_dicom(file) for file in files if file not in images)
    yield Place(folder, (root.name, *folder.relative_to(root).parts), images, is_dicom)
    for entry in seen if not is_dicom else ():
        if entry.is_dir() and not entry.is_symlink():
            yield from _places(entry, root, out)


def folders_above(path: Path) -> tuple[str, ...]:
    """The names of the two folders above a file, as far as it is in any."""
    return tuple(part for part in path.parent.parts[-2:] if part != os.sep)


def _lines_of(path: Path) -> Iterator[Path]:
    """One path a line, relative to the list; empty lines and those that begin with # are passed over."""
    for line in text_of(path).splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            yield path.parent / text


def text_of(path: Path) -> str:
    """The text of a list.

    Raises:
        InputError: it cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text ({error})", "save it as UTF-8") from error


def _begins_as_dicom(file: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with file.open("rb") as stream:
            return stream.read(_PREAMBLE)[128:] == b"DICM"
    except OSError:
        return False
