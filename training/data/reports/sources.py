"""Where reports come from: a folder of text files, a column of a CSV file, a cohort of virtual patients."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError

MOST_CHARACTERS = 200_000


@dataclass(frozen=True)
class TrueSentence:
    """A sentence of a report whose meaning is known; see `training.synthetic.sentences.Sentence`."""

    text: str
    state: str
    organ: str | None = None
    side: str | None = None
    finding: str | None = None
    size_mm: float | None = None


@dataclass(frozen=True)
class ReportSource:
    """One report to read.

    Attributes:
        subject: whose it is.
        study: of which examination.
        text: the report.
        truth: its sentences' meaning where it is known; None otherwise.
    """

    subject: str
    study: str
    text: str
    truth: tuple[TrueSentence, ...] | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a CSV file; without `subject` or `study` the row's number is taken."""

    text: str = "report"
    subject: str = "subject"
    study: str = "study"


def read_sources(path: Path, columns: Columns | None = None) -> list[ReportSource]:
    """Read reports.

    Args:
        path: a CSV file, a folder of .txt files, or a cohort of virtual patients.
        columns: of a CSV file.

    Raises:
        InputError: there is nothing to read, or a file is not of its form.
    """
    try:
        if path.is_file():
            sources = list(_csv(path, columns or Columns()))
        elif path.is_dir():
            patients = sorted(file.parent for file in path.glob("*/truth.json"))
            texts = sorted(path.glob("*.txt"))
            sources = [_patient(folder) for folder in patients] or [_text(file) for file in texts]
        else:
            raise InputError(f"there is no {path}", "give a folder or a CSV file")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "check the path and its permissions") from error
    if not sources:
        raise InputError(f"{path} holds no reports", "give .txt files, a CSV file or a cohort of virtual patients")
    return sources


def _text(file: Path) -> ReportSource:
    return ReportSource(file.stem, file.stem, _decoded(file))


def _decoded(file: Path) -> str:
    if file.stat().st_size > 4 * MOST_CHARACTERS:
        raise InputError(f"{file} is too long for a report", f"give at most {MOST_CHARACTERS} characters each")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text", "convert it") from error


def _csv(path: Path, columns: Columns) -> Iterator[ReportSource]:
    csv.field_size_limit(4 * MOST_CHARACTERS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if columns.text not in (rows.fieldnames or ()):
                there = ", ".join(rows.fieldnames or ()) or "none"
                raise InputError(f"{path} has no column {columns.text!r}", f"give --text-column; there are: {there}")
            for number, row in enumerate(rows, 1):
                subject = row.get(columns.subject) or f"row-{number}"
                yield ReportSource(subject, row.get(columns.study) or subject, row[columns.text] or "")
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}", "convert it") from error


def _patient(folder: Path) -> ReportSource:
    file = folder / "truth.json"
    try:
        truth = json.loads(_decoded(file))["report"]
        sentences = tuple(_sentence(item) for item in truth)
        report = folder / "report.txt"
        text = _decoded(report) if report.is_file() else "\n".join(sentence.text for sentence in sentences)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} is no truth of a virtual patient: {error!r}", "make the cohort anew") from error
    return ReportSource(folder.name, folder.name, text, sentences)


def _sentence(item: Mapping[str, Any]) -> TrueSentence:
    return TrueSentence(*(item[key] for key in ("text", "state", "organ", "side", "finding", "size_mm")))
