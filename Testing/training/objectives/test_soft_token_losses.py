"""What keeps soft tokens in use: bounds, extremes, and what they count."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.objectives.soft_token_losses import distinct_share, effective_share, entropy_loss, prior_loss

LARGEST = math.log(1024)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0, 60))
def test_bounds_for_the_published_codebook(seed, sharpness):
    logits = sharpness * torch.randn(2, 1, 3, 3, 1024, generator=torch.Generator().manual_seed(seed))
    prior, entropy = float(prior_loss(logits.softmax(-1))), float(entropy_loss(logits))
    assert -LARGEST - 1e-5 <= prior <= 1e-5
    assert -1e-5 <= entropy <= LARGEST + 1e-5
    assert -prior >= entropy - 1e-4  # what tokens tell of places is never negative
    assert 0 < float(effective_share(logits.softmax(-1))) <= 1 + 1e-5


def test_extremes():
    one = torch.full((1, 2, 2, 2, 8), -1e4)
    one[..., 3] = 1e4
    assert float(prior_loss(one.softmax(-1))) == pytest.approx(0, abs=1e-6)
    assert float(entropy_loss(one)) == pytest.approx(0, abs=1e-6)
    assert float(effective_share(one.softmax(-1))) == pytest.approx(1 / 8)
    each = 1e4 * torch.eye(8).view(1, 2, 2, 2, 8)
    assert float(prior_loss(each.softmax(-1))) == pytest.approx(-math.log(8))
    assert float(effective_share(each.softmax(-1))) == pytest.approx(1)
    assert float(distinct_share(each)) == 1
    assert float(distinct_share(one)) == pytest.approx(1 / 8)


def test_a_token_that_nothing_uses_keeps_the_gradient_finite():
    logits = torch.tensor([[0.0, -1e4, 2.0]], requires_grad=True)
    (prior_loss(logits.softmax(-1)) + entropy_loss(logits)).backward()
    assert torch.isfinite(logits.grad).all()


def test_the_two_pull_the_codebook_into_use_and_each_place_to_one_token():
    torch.manual_seed(0)
    logits = torch.nn.Parameter(0.1 * torch.randn(64, 16))
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        loss = prior_loss(logits.softmax(-1)) + 0.5 * entropy_loss(logits)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert effective_share(logits.softmax(-1)) > 0.9
    assert entropy_loss(logits) < 0.2


def test_over_processes_the_value_is_of_all_and_the_gradient_of_ones_share(monkeypatch):
    mine, others = torch.rand(5, 8).softmax(-1).requires_grad_(), torch.rand(5, 8).softmax(-1)
    both = torch.cat([mine.detach(), others]).requires_grad_()
    whole = prior_loss(both)
    whole.backward()
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda mean: mean.add_(others.mean(0)))
    shared = prior_loss(mine)
    shared.backward()
    torch.testing.assert_close(shared, whole)
    torch.testing.assert_close(mine.grad / 2, both.grad[:5])  # the engine averages gradients over processes
