"""The small network from scratch: it learns from few volumes what is there, and the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from medfm_core.errors import InputError
from training.evaluation.cohort import Targets
from training.evaluation.few_shot_network import NetworkPlan, predict_together, train_network

PLAN = NetworkPlan(widths=(4, 8, 8, 8), steps=40, batch_size=8, lr=3e-3)


class Blobs:
    """Volumes of noise; a bright corner in every other one, as bright as the number says."""

    def __init__(self, count=24):
        rng = np.random.default_rng(0)
        self.images = rng.normal(0, 0.1, (count, 1, 16, 16, 16)).astype(np.float32)
        self.strength = np.where(np.arange(count) % 2, rng.uniform(1, 3, count), 0.0)
        self.images[:, :, :6, :6, :6] += self.strength[:, None, None, None, None]

    def __len__(self):
        return len(self.images)

    def sample(self, item, key):
        return {"image": torch.from_numpy(self.images[item])}


def few(source, task):
    """Targets of which the first twelve are known."""
    known = np.arange(len(source)) < 12
    if task == "regression":
        return Targets(task, np.where(known, source.strength, np.nan), ("strength",))
    return Targets(task, np.where(known, source.strength > 0, -1).astype(np.int64), ("no", "yes"))


def test_it_learns_what_is_there():
    source, rows = Blobs(), np.arange(12, 24)
    network = train_network(source, few(source, "classification"), PLAN, 0)
    quantity = train_network(source, few(source, "regression"), PLAN, 0)
    classes, amounts = predict_together([network, quantity], source, rows)
    assert classes.shape == (12, 2)
    assert amounts.shape == (12,)
    there = source.strength[rows] > 0
    assert classes[there, 1].min() > classes[~there, 1].max()
    assert np.corrcoef(amounts, source.strength[rows])[0, 1] > 0.8


def test_it_is_a_function_of_its_seed_and_leaves_the_generator_alone():
    source, plan = Blobs(), replace(PLAN, steps=2)
    state = torch.random.get_rng_state()
    networks = [train_network(source, few(source, "classification"), plan, seed) for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    answers = predict_together(networks, source, np.arange(4))
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    assert replace(plan, device="cuda").identity == plan.identity != PLAN.identity


def test_nothing_known_is_nothing_to_learn():
    source = Blobs(4)
    with pytest.raises(InputError, match="no training row"):
        train_network(source, Targets("classification", np.full(4, -1), ("no", "yes")), PLAN, 0)
