"""The monitor as the loop uses it: rows, alarms, probes, resume, and what each process does."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from medfm_core.errors import InputError
from training.engine.monitors.monitor import Monitor, MonitorConfig, RunDescription, Work
from training.engine.monitors.writers import read_log

QUIET = MonitorConfig(
    log_every=5, health_every=10, probe_every=20, plots_every=0, tensorboard=False, terminal="none", measure_peak=False
)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Pictures have tests of their own."""
    monkeypatch.setattr("training.engine.monitors.pictures.plot_run", lambda *_, **__: [])


def take_steps(monitor: Monitor, first: int, last: int, loss=lambda step: 1 / step) -> None:
    for step in range(first, last + 1):
        scalars = {"loss": torch.tensor(loss(step)), "expert_load/0": 1.0}
        monitor.step(step, scalars, 1e-3 * step, torch.tensor(2.0), Work(8, 0.5, 0.1, 80))


def run_monitor(folder, config=QUIET, first=0, last=40, **more) -> Monitor:
    monitor = Monitor(folder, config, **more)
    monitor.begin(first, 40, RunDescription("tiny"))
    take_steps(monitor, first + 1, last)
    return monitor


def test_rows_hold_means_speed_and_totals(tmp_path):
    with run_monitor(tmp_path):
        pass
    rows = read_log(tmp_path / "log.csv")
    assert list(rows) == [5, 10, 15, 20, 25, 30, 35, 40]
    row = rows[10]
    assert row["loss"] == pytest.approx(np.mean([1 / s for s in range(6, 11)]), rel=1e-5)
    assert row["loss_max"] == pytest.approx(1 / 6, rel=1e-5)
    assert (row["lr"], row["grad_norm"], row["expert_load/0"]) == (0.01, 2.0, 1.0)
    assert (row["seconds"], row["samples"]) == (pytest.approx(5.0, rel=0.1), 80)
    speed = {name: row[name] for name in ("samples_per_second", "tokens_per_second", "data_wait")}
    assert speed == pytest.approx({"samples_per_second": 16.0, "tokens_per_second": 160.0, "data_wait": 0.2}, rel=0.1)
    assert "mfu" not in row


@pytest.mark.parametrize("stopped_at", [7, 20, 33])
def test_a_resumed_run_leaves_the_same_log(tmp_path, stopped_at):
    def work(monitor, first, last):
        for step in range(first, last + 1):
            take_steps(monitor, step, step)
            if monitor.wants_features(step):
                monitor.features(step, torch.eye(8) * step)

    with Monitor(tmp_path / "whole", QUIET) as monitor:
        monitor.begin(0, 40, RunDescription("tiny"))
        work(monitor, 1, 40)
    for first, last in ((0, 37), (stopped_at, 40)):  # the first part ran on after its checkpoint, then was killed
        monitor = Monitor(tmp_path / "parts", QUIET)
        monitor.begin(first, 40, RunDescription("tiny"))
        work(monitor, first + 1, last)
    whole, parts = (read_log(tmp_path / name / "log.csv") for name in ("whole", "parts"))
    assert list(whole) == list(parts)
    after_resume = next(step for step in whole if step > stopped_at)
    for step in whole:
        if step != after_resume:  # its mean covers the steps since the resume only
            assert set(whole[step]) == set(parts[step])
            for name in ("loss", "loss_max", "lr", "grad_norm", "health/effective_rank"):
                assert whole[step].get(name) == parts[step].get(name)


def test_totals_go_on_from_the_log(tmp_path):
    run_monitor(tmp_path, last=20).close()
    run_monitor(tmp_path, first=20).close()
    assert read_log(tmp_path / "log.csv")[40]["samples"] == 320


def test_health_and_probe_at_their_steps(tmp_path):
    rng = np.random.default_rng(0)
    sex = rng.integers(0, 2, 64)
    features = torch.from_numpy(rng.standard_normal((64, 8)) + 4 * sex[:, None])
    with Monitor(tmp_path, QUIET) as monitor:
        monitor.begin(0, 40, RunDescription("tiny"))
        assert [step for step in range(41) if monitor.wants_features(step)] == [0, 10, 20, 30, 40]
        monitor.features(0, features, {"sex": sex, "few": [None] * 64})
        take_steps(monitor, 1, 10)
        monitor.features(10, features, {"sex": sex})
        monitor.step(11, {"loss": 1.0}, 0.1, None, Work(8, 0.5))
    rows = read_log(tmp_path / "log.csv")
    assert list(rows) == [0, 5, 10]
    assert rows[0]["probe/sex/auroc"] > 0.9
    assert "loss" in rows[10]
    assert rows[10]["health/limit"] == 8
    assert "probe/sex/auroc" not in rows[10]
    results = json.loads((tmp_path / "probe.json").read_text())["results"]
    assert [(r["target"], r["chance"]) for r in results] == [("sex", 0.5), ("sex", 0.5), ("few", None)]


def test_features_before_the_step_of_the_same_number(tmp_path):
    with Monitor(tmp_path, QUIET) as monitor:
        monitor.begin(0, 40, RunDescription("tiny"))
        take_steps(monitor, 1, 9)
        monitor.features(10, torch.eye(8))
        take_steps(monitor, 10, 10)
    row = read_log(tmp_path / "log.csv")[10]
    assert {"loss", "health/effective_rank"} <= set(row)


def test_nan_raises_an_alarm_that_is_logged(tmp_path, caplog):
    with run_monitor(tmp_path, last=20) as monitor:
        assert not monitor.diverged
        take_steps(monitor, 21, 25, loss=lambda step: math.nan if step == 23 else 1.0)
        assert monitor.diverged
    assert read_log(tmp_path / "log.csv")[25]["alarm/not_finite"] == 1
    assert "learning rate" in caplog.text


def test_collapse_counts_on_over_a_resume(tmp_path, caplog):
    same = torch.ones(16, 8)
    monitor = run_monitor(tmp_path, last=0)
    for step in (10, 20):
        monitor.features(step, same)
    monitor = Monitor(tmp_path, QUIET)
    monitor.begin(20, 40, RunDescription("tiny"))
    assert "collapses" not in caplog.text
    monitor.features(30, same)
    assert "collapses" in caplog.text
    monitor.features(40, torch.full((16, 8), math.nan))
    assert math.isnan(read_log(tmp_path / "log.csv")[40]["health/effective_rank"])


def test_mfu_from_counted_operations(tmp_path, monkeypatch):
    from training.engine.monitors.peak import Peak

    monkeypatch.setattr("training.engine.monitors.monitor.find_peak", lambda *_: Peak(1e6, "a data sheet"))
    net, x = nn.Linear(10, 10, bias=False), torch.ones(5, 10)
    with Monitor(tmp_path, QUIET) as monitor:
        monitor.begin(0, 40, RunDescription("tiny"))
        for step in range(1, 6):
            with monitor.counting(times=2):
                net(x).sum().backward()
            monitor.step(step, {"loss": 1.0}, 0.1, None, Work(5, 10.0))
    assert monitor.flops.flops == 2 * 2 * (2 * 5 * 10 * 10)
    assert read_log(tmp_path / "log.csv")[5]["mfu"] == pytest.approx(4000 / 10 / 1e6, rel=0.1)


def test_other_processes_write_nothing_but_take_part_in_the_means(tmp_path):
    calls = []

    def all_reduce(table):
        calls.append(table.shape)
        return table * 2

    with run_monitor(tmp_path / "other", enabled=False, all_reduce=all_reduce, last=10) as monitor:
        assert monitor.wants_features(10)
        monitor.features(10, torch.eye(4))
        with monitor.counting():
            pass
    assert not (tmp_path / "other").exists()
    assert len(calls) == 4  # means and speed, at steps 5 and 10


def test_missing_extras_are_told_and_do_not_stop_the_run(tmp_path, monkeypatch, caplog):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    config = MonitorConfig(log_every=5, health_every=10, probe_every=10, terminal="none")
    caplog.set_level("INFO")
    with run_monitor(tmp_path, config, last=10) as monitor:
        monitor.features(10, torch.randn(40, 4), {"sex": np.arange(40) % 2})
    assert "scikit-learn is not installed" in caplog.text
    assert "TensorBoard is not installed" in caplog.text
    assert "health/effective_rank" in read_log(tmp_path / "log.csv")[10]


def test_pictures_are_drawn_at_the_end_and_a_failure_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("no fonts")

    monkeypatch.setattr("training.engine.monitors.pictures.plot_run", fail)
    with run_monitor(tmp_path, last=10):
        pass
    assert "no plots of this run: no fonts" in caplog.text


def test_drawing_during_the_run_waits_until_it_costs_little(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("training.engine.monitors.pictures.plot_run", lambda *_, panels: drawn.append(panels))
    config = MonitorConfig(log_every=5, plots_every=10, tensorboard=False, terminal="none")
    monitor = run_monitor(tmp_path, config, last=10)
    assert drawn == []
    monitor._pictures._begun -= 3600
    take_steps(monitor, 11, 40)
    monitor.close()
    monitor.close()
    assert drawn == [False, False, True]  # steps 20 and 30, and the end


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        run_monitor(tmp_path / "file" / "run")


def test_configurations_that_make_no_sense_are_refused():
    for wrong in ({"log_every": 0}, {"health_every": -1}, {"terminal": "loud"}):
        with pytest.raises(InputError, match=r"monitor\."):
            MonitorConfig(**wrong)
