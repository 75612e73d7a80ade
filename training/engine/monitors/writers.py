"""Where the log of a run goes: `log.csv`, one row per step that was logged, and TensorBoard."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text, write_error

logger = logging.getLogger(__name__)
STEP = "step"
NO_TENSORBOARD = "TensorBoard is not installed, so only log.csv is written; to have it: pip install tensorboard"
Rows = dict[int, dict[str, float]]


def read_log(path: str | Path) -> Rows:
    """Read a log, also one whose last line was cut off by a crash.

    Args:
        path: the CSV file.

    Returns:
        Rows by step, in order; a row holds the columns that were written at its step, NaN and infinity among them.

    Raises:
        InputError: the file is missing or is no log.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"the log {path} cannot be read", "name the folder of a run, which holds log.csv") from problem
    lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    if not lines:
        return {}
    header = lines[0]
    if header[0] != STEP or len(set(header)) != len(header):
        raise InputError(f"{path} is not a log of a run: its first column is not 'step'", "name the folder of a run")
    rows: Rows = {}
    for cells in lines[1:]:
        try:
            if len(cells) == len(header):
                rows[int(cells[0])] = {
                    name: float(cell) for name, cell in zip(header[1:], cells[1:], strict=True) if cell != ""
                }
        except ValueError:
            logger.warning("a damaged row of %s was left out", path)
    return dict(sorted(rows.items()))


class CsvWriter:
    """A CSV log that grows by rows, and by columns when new ones come up.

    A resumed run goes on in the same file: rows after the step it resumes from are dropped, those that the run will
    write again.

    Args:
        path: the file; its folder must exist.
        resumed_step: steps done so far, 0 for a new run.

    Attributes:
        rows: the rows of earlier parts of the run, by step.

    Raises:
        InputError: the file there is no log, or the place cannot be written.
    """

    def __init__(self, path: str | Path, resumed_step: int = 0) -> None:
        self._path = Path(path)
        old = read_log(self._path) if self._path.exists() else {}
        self.rows: Rows = {step: row for step, row in old.items() if step <= resumed_step}
        self._columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        self._last = next(reversed(self.rows.items()), None)
        self._rewrite(self.rows)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write a row, or more columns of the last one when the step is the same.

        Args:
            step: steps done; never less than in the row before.
            values: values by column.

        Raises:
            InputError: the step lies before the last row's.
            ResourceError: the disk is full.
        """
        values = {name: float(value) for name, value in values.items()}
        if self._last is not None and step < self._last[0]:
            raise InputError(f"step {step} comes after step {self._last[0]} in the log", "log steps in order")
        merged = self._last is not None and step == self._last[0]
        row = {**self._last[1], **values} if merged else values
        new = [name for name in row if name not in self._columns]
        try:
            if new:
                rows = read_log(self._path) | {step: row}
                self._columns += new
                self._rewrite(rows)
            else:
                self._append(step, row, over_last=merged)
        except OSError as problem:
            raise write_error(problem, self._path) from problem
        self._last = (step, row)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, step: int, row: Mapping[str, float], over_last: bool) -> None:
        if over_last:
            self._file.seek(self._last_at)
            self._file.truncate()
        self._last_at = self._file.seek(0, os.SEEK_END)
        self._file.write(self._line(step, row).encode())
        self._file.flush()

    def _rewrite(self, rows: Rows) -> None:
        """Write the whole file anew, then hold it open for more rows."""
        head = _join([STEP, *self._columns])
        lines = [self._line(step, row) for step, row in sorted(rows.items())]
        if hasattr(self, "_file"):
            self._file.close()
        atomic_text(self._path, head + "".join(lines))
        self._file = self._path.open("r+b")
        end = self._file.seek(0, os.SEEK_END)
        self._last_at = end - len(lines[-1].encode()) if lines else end

    def _line(self, step: int, row: Mapping[str, float]) -> str:
        return _join([str(step), *(_cell(row.get(name)) for name in self._columns)])


class TensorBoardWriter:
    """The same figures for TensorBoard, an optional package: `make_tensorboard` opens it if it is there.

    Args:
        folder: where the event files go.
        resumed_step: steps done so far; what an earlier part of the run wrote after it is hidden.
    """

    def __init__(self, folder: str | Path, resumed_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=resumed_step + 1, flush_secs=30)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars; a name such as `probe/age/r2` makes a group of its own."""
        for name, value in values.items():
            self._writer.add_scalar(name if "/" in name else f"run/{name}", value, step)

    def text(self, name: str, text: str) -> None:
        """Write a text, in Markdown."""
        self._writer.add_text(name, text)

    def close(self) -> None:
        """Write out what is pending."""
        self._writer.close()


def make_tensorboard(folder: str | Path, resumed_step: int) -> TensorBoardWriter | None:
    """Open TensorBoard's log; None where it is not installed, and `NO_TENSORBOARD` says what to do."""
    try:
        return TensorBoardWriter(folder, resumed_step)
    except ImportError:
        return None


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def _join(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
