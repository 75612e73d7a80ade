"""Loads of experts: what single steps and what many of them say."""

import pytest
import torch

from medfm_core.layers.mixture_of_experts import MixtureConfig, Routing
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from training.objectives.expert_loads import ExpertLoads

MIXTURE = MixtureConfig(experts=2, active=1, expert_width=4, shared_width=4)
SMALL = NeuroJepaConfig((8, 8, 8), (4, 4, 4), width=24, depth=2, heads=1, expert_blocks=(1,), mixture=MIXTURE)


@pytest.fixture
def blocks():
    return NeuroJepaEncoder(SMALL).blocks


def routing(*chosen: int) -> list[Routing | None]:
    """A block without experts, and one whose tokens chose one of two."""
    return [None, Routing(torch.full((len(chosen), 2), 0.5), torch.tensor(chosen)[:, None], torch.ones(len(chosen), 1))]


def test_experts_that_take_turns_are_balanced_over_many_steps(blocks):
    loads = ExpertLoads(rate=0.0)
    for step in range(200):
        found = loads.count(routing(*([step % 2] * 4)), keep=True)
        assert (found["load_least"], found["load_most"]) == (0, 2)
        assert ("steady_load_least" in found) == (step > 0)
        loads.move(blocks)
    assert found["steady_load_least"].item() == pytest.approx(1, abs=0.03)
    assert found["steady_load_most"].item() == pytest.approx(1, abs=0.03)


def test_an_expert_that_is_never_chosen_stays_visible(blocks):
    loads = ExpertLoads(rate=0.0)
    for _ in range(60):
        found = loads.count(routing(0, 0, 0, 0), keep=True)
        loads.move(blocks)
    assert (found["steady_load_least"], found["steady_load_most"]) == (0, 2)


def test_steady_loads_are_the_mean_of_the_first_steps(blocks):
    loads = ExpertLoads(rate=0.0)
    for chosen in ((0, 0, 0, 0), (0, 0, 0, 1), (0, 1, 1, 1)):
        loads.count(routing(*chosen), keep=True)
        loads.move(blocks)
    assert loads.steady[0].tolist() == pytest.approx([(2 + 1.5 + 0.5) / 3, (0 + 0.5 + 1.5) / 3])


def test_looking_changes_nothing(blocks):
    loads = ExpertLoads(rate=0.0)
    loads.count(routing(0, 0), keep=False)
    loads.move(blocks)
    assert loads.steady is None
