"""Schedules as functions of the step, and what the optimiser makes of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from engine_toys import Toy, ToyConfig, ToyModelConfig
from hypothesis import given
from hypothesis import strategies as st

from training.engine.optimisers import OptimiserConfig, learning_rate, make_optimiser, set_step
from training.engine.schedules import between, warm_up


@given(st.sampled_from(["cosine", "linear"]), st.integers(1, 500), st.floats(0, 1), st.floats(0, 1))
def test_a_course_runs_from_start_to_end_without_turning_back(shape, steps, start, end):
    values = [between(shape, start, end, step, steps) for step in range(steps + 1)]
    assert values[0] == pytest.approx(start)
    assert values[-1] == pytest.approx(end)
    sign = 1 if end >= start else -1
    assert all(sign * (b - a) >= -1e-9 for a, b in pairwise(values))


def test_cosine_is_halfway_in_the_middle_and_slow_at_both_ends():
    assert between("cosine", 1.0, 0.0, 50, 100) == pytest.approx(0.5)
    assert between("cosine", 1.0, 0.0, 10, 100) > between("linear", 1.0, 0.0, 10, 100)


def test_warm_up_reaches_the_peak():
    assert [warm_up(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warm_up(0, 0) == 1


def test_the_rate_peaks_after_the_warm_up_and_ends_at_its_share():
    config = OptimiserConfig(lr=1.0, warmup_steps=10, final=0.1)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert max(rates) == rates[9]
    assert rates[-1] == pytest.approx(0.1)


def test_vectors_do_not_decay_and_scales_multiply_the_rate():
    toy = Toy(ToyModelConfig(), ToyConfig())
    toy.net[3].weight.lr_scale = 0.5
    config = OptimiserConfig(lr=1.0, warmup_steps=0, weight_decay=0.1, weight_decay_end=0.3, schedule="constant")
    optimiser = make_optimiser(toy, "all", config)
    assert set_step(optimiser, config, 50, 100) == 1.0
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimiser.param_groups for p in g["params"]}
    assert found[id(toy.net[0].weight)] == (1.0, pytest.approx(0.2))
    assert found[id(toy.net[3].weight)] == (0.5, pytest.approx(0.2))
    assert found[id(toy.net[0].bias)] == (1.0, 0.0)
    assert len(found) == len(list(toy.parameters()))
