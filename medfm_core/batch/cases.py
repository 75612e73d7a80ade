"""What a batch is about, case by case, and a name for each of them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

IMAGES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_LONGEST_NAME = 80


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
