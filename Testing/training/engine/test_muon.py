"""Muon: the orthogonal factor, who is moved how, that it learns rare directions, and that it resumes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from training.engine.muon import Muon, is_matrix, orthogonal_factor
from training.engine.optimisers import OptimiserConfig, make_optimiser, set_step


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_all_directions_end_at_about_the_same_length(shape):
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    matrix = rows + 20 * rows[:, :1] @ columns[:1]  # one direction far above the others
    singular = torch.linalg.svdvals(orthogonal_factor(matrix))
    assert torch.linalg.svdvals(matrix)[0] > 20 * torch.linalg.svdvals(matrix)[1]
    assert singular[0] < 1.3
    assert singular[1] > 0.5
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert functional.cosine_similarity(orthogonal_factor(matrix).flatten(), (left @ right).flatten(), dim=0) > 0.9


def test_large_matrices_and_kernels_are_turned_and_the_rest_is_left_to_adamw():
    assert is_matrix(torch.zeros(16, 16))
    assert is_matrix(torch.zeros(16, 2, 2, 2, 2))
    assert not is_matrix(torch.zeros(64))
    assert not is_matrix(torch.zeros(8, 64))
    assert not is_matrix(torch.zeros(64, 4))


def test_what_is_no_matrix_moves_exactly_as_by_adamw():
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(8))
    theirs = nn.Parameter(ours.detach().clone())
    groups = [{"params": [ours], "matrix": False, "weight_decay": 0.1}]
    mine = Muon(groups, lr=1e-2, betas=(0.9, 0.95))
    adamw = torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(5):
        for value in (ours, theirs):
            value.grad = torch.arange(8.0) - step
        mine.step()
        adamw.step()
    torch.testing.assert_close(ours, theirs)


def ill_posed(seed):
    """A map whose inputs differ a thousandfold in variance, as common and rare features do."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, 32, generator=generator) * torch.logspace(0, -1.5, 32)
    truth = torch.randn(32, 32, generator=torch.Generator().manual_seed(99))
    return inputs, inputs @ truth


class Map(nn.Module):
    """What the optimisers of a run see of an objective."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.map = nn.Linear(32, 32, bias=False)
        nn.init.zeros_(self.map.weight)

    def no_decay(self):
        return set()

    def turn_parameters(self, turn):
        return self.named_parameters()


def error_of_rare_directions(name, lr):
    model = Map()
    config = OptimiserConfig(name=name, lr=lr, weight_decay=0.0, warmup_steps=0)
    optimiser = make_optimiser(model, "all", config)
    for step in range(150):
        set_step(optimiser, config, step, 150)
        inputs, wanted = ill_posed(step)
        functional.mse_loss(model.map(inputs), wanted).backward()
        optimiser.step()
        optimiser.zero_grad()
    truth = torch.randn(32, 32, generator=torch.Generator().manual_seed(99))
    return functional.mse_loss(model.map.weight.T[16:], truth[16:]).item()


def test_it_learns_what_is_rarely_seen_where_gradient_descent_does_not():
    best = min(error_of_rare_directions("sgd", lr) for lr in (0.1, 1.0))
    assert error_of_rare_directions("muon", 0.1) < 0.5 * best


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped():
    model = Map()
    config = OptimiserConfig(name="muon", lr=1e-2)
    optimiser = make_optimiser(model, "all", config)

    def advance(model, optimiser, steps):
        for step in steps:
            inputs, wanted = ill_posed(step)
            functional.mse_loss(model.map(inputs), wanted).backward()
            optimiser.step()
            optimiser.zero_grad()

    advance(model, optimiser, range(3))
    other = copy.deepcopy(model)
    resumed = make_optimiser(other, "all", config)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    advance(model, optimiser, range(3, 6))
    advance(other, resumed, range(3, 6))
    assert torch.equal(model.map.weight, other.map.weight)
