"""Figures of the representation on features whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.errors import InputError
from training.engine.monitors.health import measure_health


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_k_equal_directions_have_rank_k():
    # Rows +-e_k: centred, five orthogonal directions of equal strength in eight features.
    features = torch.cat([torch.eye(8)[:5], -torch.eye(8)[:5]])
    health = measure_health(features)
    assert health.effective_rank == pytest.approx(5.0)
    assert health.participation_ratio == pytest.approx(5.0)
    assert health.dead_share == pytest.approx(3 / 8)
    assert health.std_min == 0.0
    assert health.limit == 8
    assert health.mean_cosine == pytest.approx(-1 / 9)


def test_mean_cosine_equals_the_plain_double_loop():
    features = torch.randn(7, 5, generator=generator()) + 1
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    plain = [float(unit[i] @ unit[j]) for i in range(7) for j in range(7) if i != j]
    assert measure_health(features).mean_cosine == pytest.approx(sum(plain) / len(plain))


def test_effective_rank_ignores_a_shared_mean_and_the_scale():
    features = torch.randn(64, 16, generator=generator()).double()
    health, moved = measure_health(features), measure_health(features * 1e-3 + 5)
    assert moved.effective_rank == pytest.approx(health.effective_rank, rel=1e-6)
    assert moved.mean_cosine > 0.999 > 0.1 > abs(health.mean_cosine)
    assert 14 < health.effective_rank < 16


@pytest.mark.parametrize("features", [torch.zeros(10, 4), torch.ones(10, 4), torch.full((10, 4), -0.1)])
def test_one_point_is_full_collapse(features):
    health = measure_health(features)
    assert (health.effective_rank, health.mean_cosine, health.dead_share) == (1.0, pytest.approx(1.0), 1.0)
    assert math.isfinite(health.condition)


def test_condition_by_hand():
    scales = torch.tensor([10.0, 1.0])
    features = torch.cat([torch.eye(2), -torch.eye(2)]) * scales
    assert measure_health(features).condition == pytest.approx(100.0)


def test_features_that_are_not_finite_give_nothing_and_wrong_shapes_are_refused():
    assert measure_health(torch.tensor([[1.0, math.nan]] * 4)) is None
    for shape in ((2, 4), (8,), (8, 0)):
        with pytest.raises(InputError):
            measure_health(torch.zeros(shape))


def test_half_precision_features_are_measured_like_their_values():
    features = torch.randn(32, 8, generator=generator()).bfloat16()
    assert measure_health(features) == measure_health(features.double())
