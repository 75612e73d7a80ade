"""The CSV log grows, survives crashes and goes on after a resume without a step twice."""

from __future__ import annotations

import csv
import math
import sys

import pytest

from medfm_core.errors import InputError
from training.engine.monitors.writers import CsvWriter, TensorBoardWriter, make_tensorboard, read_log


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_rows_and_columns_grow(tmp_path):
    writer = CsvWriter(tmp_path / "log.csv")
    writer.write(10, {"loss": 1.5, "lr": 1e-4})
    writer.write(20, {"loss": math.nan, "lr": 2e-4})
    writer.write(20, {"health/rank": 7.25})
    writer.write(30, {"loss": 0.5})
    writer.close()
    assert table(tmp_path / "log.csv") == [
        ["step", "loss", "lr", "health/rank"],
        ["10", "1.5", "0.0001", ""],
        ["20", "nan", "0.0002", "7.25"],
        ["30", "0.5", "", ""],
    ]
    rows = read_log(tmp_path / "log.csv")
    assert rows[10] == {"loss": 1.5, "lr": 1e-4}
    assert math.isnan(rows[20]["loss"])
    assert rows[20]["health/rank"] == 7.25


def test_every_row_is_on_disk_at_once_and_more_of_a_step_replaces_its_row(tmp_path):
    writer = CsvWriter(tmp_path / "log.csv")
    for step in range(1, 30):
        writer.write(step, {"a": step, "b": 0})
        writer.write(step, {"b": step})
        assert read_log(tmp_path / "log.csv")[step] == {"a": step, "b": step}
    assert len(table(tmp_path / "log.csv")) == 30


def test_a_resumed_run_drops_what_came_after_and_writes_no_step_twice(tmp_path):
    path = tmp_path / "log.csv"
    writer = CsvWriter(path)
    for step in (10, 20, 30):
        writer.write(step, {"loss": step, **({"late": 1} if step == 30 else {})})
    writer.close()
    resumed = CsvWriter(path, resumed_step=25)
    assert list(resumed.rows) == [10, 20]
    resumed.write(30, {"loss": 33})
    resumed.close()
    assert table(path) == [["step", "loss"], ["10", "10"], ["20", "20"], ["30", "33"]]
    again = CsvWriter(path, resumed_step=30)
    again.write(30, {"health": 1})
    assert [row[0] for row in table(path)] == ["step", "10", "20", "30"]
    assert read_log(path)[30] == {"loss": 33, "health": 1}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path, cut):
    path = tmp_path / "log.csv"
    writer = CsvWriter(path)
    writer.write(10, {"loss": 0.25, "lr": 0.5})
    writer.write(20, {"loss": 0.125, "lr": 0.5})
    writer.close()
    path.write_bytes(path.read_bytes()[:-cut])
    rows = CsvWriter(path, resumed_step=20).rows
    assert list(rows) == [10]
    assert path.read_text().endswith("\n")


def test_an_empty_or_headless_file_is_a_log_without_rows(tmp_path):
    for text in ("", "st", "step\n"):
        (tmp_path / "log.csv").write_text(text)
        assert CsvWriter(tmp_path / "log.csv").rows == {}


def test_foreign_files_and_steps_backwards_are_refused(tmp_path):
    (tmp_path / "log.csv").write_text("name,age\nx,3\n")
    with pytest.raises(InputError, match="not a log"):
        CsvWriter(tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text() == "name,age\nx,3\n"
    with pytest.raises(InputError, match="cannot be read"):
        read_log(tmp_path / "none.csv")
    writer = CsvWriter(tmp_path / "other.csv")
    writer.write(10, {"loss": 1})
    with pytest.raises(InputError, match="after step 10"):
        writer.write(9, {"loss": 1})


def test_tensorboard_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert make_tensorboard(tmp_path, 0) is None


def test_tensorboard_hides_what_a_resumed_run_writes_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = TensorBoardWriter(tmp_path)
    for step in (10, 20, 30):
        first.write(step, {"loss": step})
    first.close()
    second = TensorBoardWriter(tmp_path, resumed_step=20)
    second.write(30, {"loss": 33})
    second.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("run/loss")] == [(10, 10.0), (20, 20.0), (30, 33.0)]
