"""Parsed reports as rows: pairs of sentence and organ for training, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from training.data.reports.results import ParsedReport
from training.data.reports.sources import ReportSource

COLUMNS = (
    "subject", "study", "text", "section", "context", "state", "organ", "side", "finding", "size_mm", "phase",
    "sentence", "start", "end", "method",
)  # fmt: skip
FORMATS = (".csv", ".jsonl")


def pair_rows(source: ReportSource, parsed: ParsedReport) -> Iterator[dict[str, object]]:
    """One row per statement, in order; `sentence` counts from 1, `text` is the sentence with what continues it."""
    numbers = {sentence.span: number for number, sentence in enumerate(parsed.sentences, 1)}
    for finding in parsed.findings:
        number = numbers[finding.span]
        yield {
            "subject": source.subject, "study": source.study, "text": finding.text, "section": finding.section,
            "context": parsed.sentences[number - 1].context, "state": finding.state, "organ": finding.organ,
            "side": finding.side, "finding": finding.finding, "size_mm": finding.size_mm, "phase": finding.phase,
            "sentence": number, "start": finding.span[0], "end": finding.span[1], "method": parsed.method,
        }  # fmt: skip


def check_format(path: Path) -> None:
    """Refuse a file name that says no format we write.

    Raises:
        InputError: its suffix is another.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path.name} is no {' or '.join(FORMATS)} file", "give the output one of these endings")


def write_pairs(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write rows, the whole file or nothing; the suffix chooses the format.

    Raises:
        InputError: the suffix is another, or the place cannot be written.
        ResourceError: the disk is full.
    """
    check_format(path)
    if path.suffix.lower() == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        atomic_text(path, "".join(f"{line}\n" for line in lines))
        return
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_text(path, table.getvalue())
