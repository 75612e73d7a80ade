"""The log of a run that was stopped within a row is that of a run that was not, but for its times."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from engine_toys import TOY

from training.engine.config import recipe_from_data
from training.engine.loop import Training, train
from training.engine.monitors.meters import Meters
from training.engine.retention import find_checkpoints
from training.engine.windows import own_window

TIMES = ("seconds", "samples_per_second", "step_seconds", "data_wait", "tokens_per_second", "mfu")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Pictures take longer to draw than these runs."""
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)


def recipe(**run):
    monitor = {"terminal": "none", "tensorboard": False, "measure_peak": False, "log_every": 5, "health_every": 4,
               "probe_every": 0}  # fmt: skip
    plain = {"steps": 17, "batch_size": 4, "workers": 0, "checkpoint_every": 7, "precision": "fp32", "keep_last": 20}
    return recipe_from_data(TOY | {"run": plain | run, "monitor": monitor, "optim": {"lr": 0.05, "warmup_steps": 2}})


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(recipe(), folder)
    return folder


def stop_after(monkeypatch, step: int) -> None:
    """Send SIGTERM to this process while a step is made."""
    original = Training._one_step

    def one_step(self, *arguments):
        original(self, *arguments)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Training, "_one_step", one_step)


@pytest.mark.parametrize("stops", [(1,), (4,), (5,), (7,), (8,), (12,), (16,), (2, 3, 9, 14)])
def test_sigterm_within_a_row_leaves_no_trace_in_the_log(whole, tmp_path, stops, monkeypatch):
    for step in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, step)
            outcome = train(recipe(), tmp_path)
        assert (outcome.step, outcome.stopped_by) == (step, signal.SIGTERM)
    assert train(recipe(), tmp_path).step == 17
    assert log_of(tmp_path) == log_of(whole)
    header = [(folder / "log.csv").read_text().splitlines()[0] for folder in (tmp_path, whole)]
    assert header[0] == header[1]


def test_the_metric_of_the_next_checkpoint_covers_the_steps_before_the_stop_too(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        train(recipe(), tmp_path)
    train(recipe(), tmp_path)
    wanted = {info.step: info.metric for info in find_checkpoints(whole / "checkpoints")}
    found = {info.step: info.metric for info in find_checkpoints(tmp_path / "checkpoints")}
    assert {step: found[step] for step in wanted} == wanted


def test_meters_go_on_bit_for_bit_from_json():
    values = [torch.tensor(v) for v in torch.randn(40, generator=torch.Generator().manual_seed(1)).tolist()]
    for stop in (1, 17, 39):
        whole, parts = Meters(("loss",)), Meters(("loss",))
        for number, value in enumerate(values):
            for meters in (whole, parts):
                meters.add({"loss": value, "plain": float(value) / 3, "half": value.bfloat16()})
            if number + 1 == stop:
                state = json.loads(json.dumps(parts.state()))
                parts = Meters(("loss",))
                parts.load(state)
        assert parts.flush() == whole.flush()


def test_windows_of_another_number_of_processes_are_added_up_on_the_first():
    def window(total, count, largest):
        part = {"sums": {"loss": total}, "counts": {"loss": count}, "largest": {"loss": largest}}
        return {"monitor": part, "best": part, "seconds": 2.0, "samples": 8}

    windows = [window(3.0, 2, 2.5), window(5.0, 2, 4.0)]
    assert own_window(windows, 1, 2) is windows[1]
    alone = own_window(windows, 0, 1)
    assert alone["monitor"]["sums"] == {"loss": 8.0}
    assert alone["best"]["counts"] == {"loss": 4}
    shares = [own_window(windows, rank, 3)["monitor"] for rank in range(3)]
    assert sum(share["sums"]["loss"] for share in shares) == 8.0
    assert sum(share["counts"]["loss"] for share in shares) == 4
