"""The partial likelihood against its definition, term by term, with ties of both kinds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.objectives.cox_loss import cox_loss

ROWS = st.lists(
    st.tuples(st.floats(-3, 3), st.integers(1, 5), st.booleans()), min_size=1, max_size=12
)  # fmt: skip


def by_definition(risk, time, event, ties):
    total, count = 0.0, 0
    for moment in sorted({t for t, happened in zip(time, event, strict=True) if happened}):
        there = [i for i in range(len(time)) if time[i] == moment and event[i]]
        at_risk = sum(math.exp(risk[i]) for i in range(len(time)) if time[i] >= moment)
        together = sum(math.exp(risk[i]) for i in there)
        for place, i in enumerate(there):
            taken = place / len(there) * together if ties == "efron" else 0
            total += math.log(at_risk - taken) - risk[i]
            count += 1
    return total / count if count else 0.0


@settings(max_examples=60, deadline=None)
@given(ROWS, st.sampled_from(["breslow", "efron"]))
def test_it_is_its_definition(rows, ties):
    risk, time, event = map(list, zip(*rows, strict=True))
    found = cox_loss(torch.tensor(risk, dtype=torch.float64), torch.tensor(time, dtype=torch.float64),
                     torch.tensor(event), ties)  # fmt: skip
    assert float(found) == pytest.approx(by_definition(risk, time, event, ties), abs=1e-8)


def test_the_order_of_rows_does_not_matter():
    draw = np.random.default_rng(0)
    risk = torch.from_numpy(draw.normal(size=30))
    time, event = torch.from_numpy(draw.integers(1, 6, 30)).double(), torch.from_numpy(draw.random(30) < 0.5)
    order = torch.from_numpy(draw.permutation(30))
    assert torch.allclose(cox_loss(risk, time, event), cox_loss(risk[order], time[order], event[order]))


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_gradients(ties):
    risk = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    time, event = torch.tensor([1, 1, 2, 2, 2, 3, 3, 4, 4.0]), torch.tensor([1, 1, 1, 0, 1, 1, 1, 0, 1])
    assert torch.autograd.gradcheck(lambda value: cox_loss(value, time, event, ties, 1e-3), risk)


def test_nothing_happened_costs_nothing():
    risk = torch.randn(4, requires_grad=True)
    loss = cox_loss(risk, torch.ones(4), torch.zeros(4))
    loss.backward()
    assert loss == 0
    assert not risk.grad.any()


def test_rows_without_a_time_are_left_out():
    risk, event = torch.tensor([1.0, -1, 3, 2]), torch.tensor([1, 1, 1, 1])
    time = torch.tensor([1.0, 2, float("nan"), 0])
    assert torch.allclose(cox_loss(risk, time, event), cox_loss(risk[:2], time[:2], event[:2]))


def test_large_risks_and_low_precision():
    risk = torch.tensor([200.0, -200, 150, 90]).bfloat16()
    loss = cox_loss(risk, torch.tensor([2.0, 1, 2, 3]), torch.tensor([1, 1, 1, 1]))
    assert torch.isfinite(loss)
    assert loss.dtype == torch.float32
