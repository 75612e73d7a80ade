"""Manifests: the list of volumes that a data set consists of, checked as a whole before anything is computed.

| column | holds |
|---|---|
| `subject` | who; all rows of a subject stay in one split |
| `study` | which examination of the subject |
| `path` | image file or DICOM folder, absolute or relative to the manifest |
| `modality` | `CT`, `MR`, `PT`, `CR`, `DX`, `US`, or `OT` for anything else |
| `sequence` | (optional) MR sequence such as `T1w`, contrast phase, ...: tells volumes of one study apart |
| `series` | (optional) which series of a DICOM folder, as `medfm analyze --series` takes it |
| `organs` | (optional) organs that the volume shows, separated by `;`; empty: not known |
| `labels` | (optional) label map of the volume |
| `label_names` | (optional) names of its values: `{"1": "liver"}` or a .json file; empty: MedFM's own numbers |
| `split` | (optional) `train`, `val` or `test`, for all rows or none |
| `text` | (optional) report or description |
| `target.<name>` | (optional) what is to be predicted: numbers or categories; empty: missing |
| `time.<name>` | (optional) time until an event or the end of what was observed; empty: not known, or it came before |
| `event.<name>` | (optional) of the same name: 1 where it happened, 0 where it was not seen to |
| `feature.<name>` | (optional) numbers that come with the volume, such as age or an imaging phenotype; empty: missing |
| `info.<name>` | (optional) anything else, such as site or scanner, for subgroups |

The file is CSV (UTF-8, commas) or Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from medfm_core.errors import InputError
from training.data.manifest_table import read_table

SPLITS = ("train", "val", "test")
REQUIRED = ("subject", "study", "path", "modality")
OPTIONAL = ("sequence", "series", "organs", "labels", "label_names", "split", "text")
PREFIXES = ("target.", "feature.", "info.", "time.", "event.")
MOST_LISTED = 20

Value = float | str | None
Files = Literal["none", "exist", "content"]


@dataclass(frozen=True)
class ManifestRow:
    """One volume of a manifest.

    Attributes:
        number: its row as a spreadsheet counts it (the header is row 1).
        subject, study, modality, sequence, series: as in the manifest; "" for what is not given.
        path: where the image lies.
        written: the path as the manifest has it.
        organs: vocabulary names of what the volume shows; None if not known.
        labels: where the label map lies.
        written_labels: that path as the manifest has it.
        label_names: name of each value of the label map; empty for the vocabulary's own numbers.
        split: of `SPLITS`, None if the manifest has no splits.
        text: report or description.
        targets: what is to be predicted; None where missing.
        features: numbers that come with the volume; None where missing.
        times: until an event or the end of what was observed, in any unit; None where missing.
        events: of the same names, 1 or 0; None where missing.
        info: anything else.
    """

    number: int
    subject: str
    study: str
    path: Path
    modality: str
    written: str = ""
    sequence: str = ""
    series: str = ""
    organs: tuple[str, ...] | None = None
    labels: Path | None = None
    written_labels: str = ""
    label_names: Mapping[int, str] = field(default_factory=dict)
    split: str | None = None
    text: str = ""
    targets: Mapping[str, Value] = field(default_factory=dict)
    features: Mapping[str, float | None] = field(default_factory=dict)
    info: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, float | None] = field(default_factory=dict)
    events: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from every other row; it does not change when the data set moves."""
        return (
            self.subject, self.study, self.modality, self.sequence, self.series, self.written, self.written_labels,
        )  # fmt: skip


@dataclass(frozen=True)
class TargetColumn:
    """One column of targets.

    Attributes:
        name: without `target.`.
        categories: in alphabetical order; empty for numbers.
    """

    name: str
    categories: tuple[str, ...] = ()

    def encode(self, value: Value) -> float | int:
        """A number for the network: the value, or the category's place; NaN or -1 where missing."""
        if self.categories:
            return -1 if value is None else self.categories.index(value)
        return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Manifest:
    """A whole manifest.

    Attributes:
        path: its file.
        rows: its volumes, in the file's order.
        targets: its columns of targets, by name.
    """

    path: Path
    rows: tuple[ManifestRow, ...]
    targets: Mapping[str, TargetColumn]

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Each subject once, in the order of the rows."""
        return tuple(dict.fromkeys(row.subject for row in self.rows))

    @property
    def has_splits(self) -> bool:
        """Whether the manifest says which row is in which split."""
        return self.rows[0].split is not None


def read_manifest(path: str | Path, files: Files = "content") -> Manifest:
    """Read and check a manifest.

    Args:
        path: a .csv or .parquet file.
        files: what to check of the images: "none" (they need not be there), "exist", or "content": also that no two
            rows hold the same image. Only files of the same size are read for that.

    Raises:
        InputError: anything is wrong with it; all problems are listed together (the first 20) with their rows.
        ResourceError: Parquet is to be read and pyarrow is not installed.
    """
    from training.data import manifest_checks, manifest_rows

    path = Path(path)
    table = read_table(path)
    problems = list(table.problems) + manifest_rows.column_problems(table.columns)
    if not any(number == 1 for number, _ in problems):
        columns, found = manifest_rows.target_columns(table)
        rows, more = manifest_rows.parse_rows(table, path.parent, columns)
        problems += found + more + manifest_checks.row_problems(rows)
        if files != "none":
            problems += manifest_checks.file_problems(rows)
        if files == "content" and not problems:
            problems += manifest_checks.content_problems(rows)
    if problems:
        raise problem_list(path, problems)
    return Manifest(path, tuple(rows), columns)


def problem_list(path: Path, problems: list[tuple[int, str]]) -> InputError:
    """One error that lists all problems by row."""
    lines = [f"  row {number}: {text}" for number, text in sorted(set(problems))]
    count = len(lines)
    if count > MOST_LISTED:
        lines = [*lines[:MOST_LISTED], f"  ... and {count - MOST_LISTED} more"]
    heading = f"the manifest {path} has {count} problem{'s' * (count > 1)} to correct (row 1 is the header):"
    return InputError("\n".join([heading, *lines]))
