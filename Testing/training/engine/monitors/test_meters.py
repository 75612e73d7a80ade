"""Scalars are averaged where they are, and copied to the host only when the log is written."""

from __future__ import annotations

import math

import pytest
import torch

from training.engine.monitors.meters import Meters


def test_means_of_tensors_and_numbers():
    meters = Meters()
    for value in (1.0, 2.0, 6.0):
        meters.add(
            {"tensor": torch.tensor(value, requires_grad=True), "number": value, "half": torch.tensor([value / 2])}
        )
    meters.add({"number": None, "seldom": 5})
    assert meters.flush() == {"tensor": 3.0, "number": 3.0, "half": 1.5, "seldom": 5.0}
    assert meters.flush() == {}


def test_a_value_may_be_overwritten_after_it_was_added():
    meters, value = Meters(keep_largest=("loss",)), torch.ones(())
    for number in (3.0, 1.0):
        value.fill_(number)
        meters.add({"loss": value})
    value.fill_(100.0)
    assert meters.flush() == {"loss": 2.0, "loss_max": 3.0}


def test_one_nan_shows_in_the_mean_and_the_largest():
    meters = Meters(keep_largest=("a", "b"))
    for number in (1.0, math.nan, 2.0):
        meters.add({"a": number, "b": torch.tensor(number)})
    assert all(math.isnan(value) for value in meters.flush().values())


def test_adding_never_copies_to_the_host(monkeypatch):
    def refuse(*_):
        raise AssertionError("the loop waited for the device")

    meters, loss = Meters(keep_largest=("loss",)), torch.tensor(2.0)
    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    for _ in range(3):
        meters.add({"loss": loss})
    monkeypatch.undo()
    assert meters.flush()["loss"] == 2.0


def test_the_mean_over_processes_weighs_by_count():
    meters = Meters()
    meters.add({"b": 1.0, "a": 10.0})
    meters.add({"b": 3.0})
    # Another process met a once (20) and b once (7); the table holds sums and counts in the order of the names.
    assert meters.flush(lambda table: table + torch.tensor([[20.0, 7.0], [1.0, 1.0]]).double()) == {
        "b": pytest.approx(11 / 3),
        "a": 15.0,
    }
