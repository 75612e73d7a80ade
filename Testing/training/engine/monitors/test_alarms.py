"""Alarms come when they should, say what to do, and survive a resume."""

from __future__ import annotations

import math
import random

import pytest

from training.engine.monitors.alarms import Alarms, Collapse, GradientSpike, LossSpike


def health(rank: float = 50.0, cosine: float = 0.2, limit: float = 255.0) -> dict[str, float]:
    return {"health/effective_rank": rank, "health/mean_cosine": cosine, "health/limit": limit}


def noisy_losses(rows: int = 300) -> list[dict[str, float]]:
    """A healthy run: a steep fall, then a slow one, with noise; gradients fall too."""
    draw = random.Random(0)
    return [
        {"loss": 1 + 3 * math.exp(-i / 20) + draw.gauss(0, 0.03), "grad_norm": 1 + 5 * math.exp(-i / 10)}
        for i in range(rows)
    ]


def test_a_healthy_run_raises_none():
    alarms = Alarms()
    for i, row in enumerate(noisy_losses()):
        assert alarms.check(row | (health(20 + i / 10, 0.9 - i / 1000) if i % 10 == 0 else {})) == []


@pytest.mark.parametrize("row", [{"loss": math.nan}, {"loss": math.inf}, {"loss": 1.0, "grad_norm": math.nan}])
def test_nan_is_said_at_once_and_once(row):
    alarms = Alarms()
    first = alarms.check(row)
    assert [alarm.name for alarm in first] == ["not_finite"]
    assert "checkpoint" in first[0].text
    assert alarms.check(row) == []
    assert "not_finite" in alarms.active
    alarms.check({"loss": 1.0, "grad_norm": 1.0})
    assert not alarms.active


def test_a_jump_of_the_loss():
    rule = LossSpike()
    assert all(rule.check(row) is None for row in noisy_losses(100))
    assert rule.check({"loss": 1.2}) is None
    assert "lower the learning rate" in rule.check({"loss": 2.0}).text
    assert rule.check({"loss": 1.0}) is None


def test_a_slow_rise_is_no_spike():
    rule = LossSpike()
    assert all(rule.check({"loss": 1 + i / 200}) is None for i in range(400))


def test_one_wild_gradient_within_a_row():
    rule = GradientSpike()
    for _ in range(20):
        assert rule.check({"grad_norm": 1.0, "grad_norm_max": 2.0}) is None
    assert "clip" in rule.check({"grad_norm": 1.5, "grad_norm_max": 12.0}).text


def test_no_spike_can_be_called_before_there_is_a_history():
    assert all(rule.check({"loss": 10.0**i, "grad_norm": 10.0**i}) is None for rule in (LossSpike(), GradientSpike())
               for i in range(5))  # fmt: skip


def test_collapse_needs_three_checks_in_a_row():
    rule = Collapse()
    assert [rule.check(health(rank)) is None for rank in (1.5, 1.5, 50, 1.5, 1.5, 1.5)] == [True] * 5 + [False]
    assert "EMA" in rule.check(health(1.5)).text
    assert rule.check(health(40)) is None


def test_the_floor_of_the_rank_grows_with_what_is_possible():
    for rank, limit, wrong in ((10, 255, True), (14, 255, False), (3, 31, False), (1.9, 15, True)):
        rule = Collapse(patience=1)
        assert (rule.check(health(rank, limit=limit)) is not None) == wrong


def test_samples_that_grow_alike_are_a_collapse_but_random_weights_are_not():
    rule = Collapse(patience=1)
    assert rule.check(health(cosine=0.5)) is None
    assert rule.check(health(cosine=0.995)) is not None
    random_weights = Collapse(patience=1)
    assert all(random_weights.check(health(cosine=cosine)) is None for cosine in (0.998, 0.9985, 0.997))
    assert random_weights.check(health(cosine=0.9999)) is not None


def test_features_that_are_not_finite_are_an_alarm_at_once():
    assert Collapse().check(dict.fromkeys(health(), math.nan)) is not None


def test_rows_of_the_log_bring_a_resumed_run_to_the_same_state():
    rows = [*noisy_losses(60), health(1.0), health(1.0)]
    whole, resumed = Alarms(), Alarms()
    for row in rows:
        whole.check(row)
    for row in rows:
        resumed.check(row)
    last = health(1.0)
    assert whole.check(last) == resumed.check(last) != []
