"""Statements: what is said of a study, one per organ and finding, from its report or from what a virtual patient has.

A file of statements is JSON Lines, one study per line. Images and statements meet by subject and study.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.strict import from_dict, to_dict

STATES = ("present", "absent", "uncertain", "normal")
Corner = tuple[float, float, float]


@dataclass(frozen=True)
class Statement:
    """One thing said of one organ.

    Attributes:
        organ: name of a structure, composite or group of the vocabulary.
        state: one of `STATES`; "normal" says that the organ shows nothing.
        finding: name in the catalogue of findings; None for "normal".
        text: the sentence; empty where it is known without having been written.
        side: "left", "right" or None.
        size_mm: a size that the sentence gives.
        box_ras_mm: corners of the box in which the finding lies, lowest and highest RAS+ coordinates in mm.
    """

    organ: str
    state: str
    finding: str | None = None
    text: str = ""
    side: str | None = None
    size_mm: float | None = None
    box_ras_mm: tuple[Corner, Corner] | None = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state {self.state!r} must be one of {', '.join(STATES)}")
        if (self.finding is None) != (self.state == "normal"):
            raise ValueError("a normal organ has no finding, every other statement has one")


@dataclass(frozen=True)
class StudyStatements:
    """All statements of one study.

    Attributes:
        subject: as in the manifest.
        study: as in the manifest.
        statements: in the order of the report.
        complete: whether what is not stated is known to be absent, as in virtual patients.
        hidden: findings that the scan cannot show, whatever the patient has.
    """

    subject: str
    study: str
    statements: tuple[Statement, ...]
    complete: bool = False
    hidden: tuple[str, ...] = ()


def write_statements(path: Path, studies: Iterable[StudyStatements]) -> None:
    """Write a file of statements, whole or not at all.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    lines = (json.dumps(to_dict(study), ensure_ascii=False) for study in studies)
    atomic_text(path, "".join(line + "\n" for line in lines))


def read_statements(path: Path) -> tuple[StudyStatements, ...]:
    """Read a file of statements.

    Raises:
        InputError: it is not there, or a line is not what it should be; the line is named.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the statements {path} cannot be read", "check the name") from error
    studies = []
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
        except ValueError as error:
            raise InputError(f"line {number} of {path} is no JSON", "write the file again") from error
        studies.append(from_dict(StudyStatements, data, f"line {number} of {path}"))
    return tuple(studies)
