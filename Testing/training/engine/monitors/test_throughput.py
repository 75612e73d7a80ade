"""Figures of speed follow from the work and the times that the loop reports."""

from __future__ import annotations

import pytest
import torch

from training.engine.monitors.throughput import Throughput, Work


def test_figures_by_hand():
    speed = Throughput()
    speed.flops_per_step, speed.peak_flops_per_second = 100, 1000.0
    for seconds in (0.1, 0.2, 0.7):
        speed.add(Work(samples=4, seconds=seconds, seconds_waiting=seconds / 10, tokens=400))
    assert speed.flush() == pytest.approx(
        {
            "samples_per_second": 12.0, "tokens_per_second": 1200.0, "step_seconds": 0.2, "data_wait": 0.1,
            "mfu": 0.3,
        }
    )  # fmt: skip
    assert speed.flush() == {}


@pytest.mark.parametrize(("flops", "peak"), [(None, 1e12), (10, None)])
def test_mfu_and_tokens_are_not_stated_when_unknown(flops, peak):
    speed = Throughput()
    speed.flops_per_step, speed.peak_flops_per_second = flops, peak
    speed.add(Work(samples=4, seconds=0.5))
    assert set(speed.flush()) == {"samples_per_second", "step_seconds", "data_wait"}


def test_work_that_the_device_finishes_later_counts():
    speed = Throughput()
    for _ in range(4):
        speed.add(Work(samples=2, seconds=0.1, seconds_waiting=0.05))
    figures = speed.flush(device_seconds=0.6)
    assert figures == pytest.approx({"samples_per_second": 8.0, "step_seconds": 0.25, "data_wait": 0.2})


def test_waiting_on_another_process_shows():
    speed = Throughput()
    speed.add(Work(samples=4, seconds=1.0, seconds_waiting=0.0))
    other = torch.tensor([1.0, 0.5, 1.0], dtype=torch.float64)
    assert speed.flush(lambda table: table + other)["data_wait"] == pytest.approx(0.25)
