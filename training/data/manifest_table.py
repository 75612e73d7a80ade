"""Tables of text cells from CSV and Parquet files, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError, ResourceError
from medfm_core.io import atomic_text

_LONGEST_CELL = 1 << 24  # reports are longer than the csv module allows by default


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: names in the file's order.
        rows: cells by column name; a missing cell is "".
        numbers: of each row as a spreadsheet counts it: the header is row 1.
        problems: what is wrong with single rows, with their numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    numbers: tuple[int, ...]
    problems: tuple[tuple[int, str], ...] = ()


def read_table(path: Path) -> Table:
    """Read a CSV or Parquet file; cells are stripped of spaces around them.

    Raises:
        InputError: missing, of another kind, not UTF-8, without header or rows, or with two columns of one name.
        ResourceError: Parquet is to be read and pyarrow is not installed.
    """
    if not path.is_file():
        raise InputError(f"there is no manifest {path}", "give the path of a .csv or .parquet file")
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise InputError(f"{path} is neither .csv nor .parquet", "save the manifest as one of these")
    table = _read_csv(path) if ending == ".csv" else _read_parquet(path)
    if not table.rows:
        raise InputError(f"the manifest {path} has no rows", "list at least one volume")
    return table


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV; None and missing cells become empty.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    atomic_text(path, out.getvalue())


def _read_csv(path: Path) -> Table:
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file, strict=True))
    except UnicodeDecodeError as error:
        raise InputError(f"the manifest {path} is not UTF-8 text", "save it as CSV UTF-8") from error
    except csv.Error as error:
        raise InputError(f"the manifest {path} is no proper CSV ({error})", "save it as CSV again") from error
    except OSError as error:
        raise InputError(f"cannot read the manifest {path} ({error.strerror})", "check its permissions") from error
    columns = _columns([name.strip() for name in lines[0]] if lines else [], path)
    rows, numbers, problems = [], [], []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            problems.append((number, f"{len(cells)} cells instead of {len(columns)}; quote cells that hold commas"))
        cells = [cell.strip() for cell in cells] + [""] * (len(columns) - len(cells))
        rows.append(dict(zip(columns, cells)))  # noqa: B905 (too many cells are a problem noted above)
        numbers.append(number)
    return Table(columns, tuple(rows), tuple(numbers), tuple(problems))


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ResourceError(
            "Parquet needs pyarrow", "run `pip install pyarrow`, or save the manifest as CSV"
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        raise InputError(f"the manifest {path} is no proper Parquet file", "write it again") from error
    columns = _columns(list(table.column_names), path)
    rows = [{name: _cell(value).strip() for name, value in row.items()} for row in table.to_pylist()]
    return Table(columns, tuple(rows), tuple(range(2, len(rows) + 2)))


def _columns(names: list[str], path: Path) -> tuple[str, ...]:
    if not any(names):
        raise InputError(f"the manifest {path} has no header", "name the columns in the first row")
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise InputError(f"the manifest {path} does not separate its cells by commas", "save it as comma-separated CSV")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        what = f"has the column {twice[0]!r} twice" if twice and twice[0] else "has a column without a name"
        raise InputError(f"the manifest {path} {what}", "give each column a name of its own")
    return tuple(names)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ";".join(str(item) for item in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
