"""Batches are the same however many processes, parts or workers make them, and wherever a run resumed."""

from __future__ import annotations

import pytest
from engine_toys import Toy, ToyConfig, ToyData, ToyDataConfig, ToyModelConfig
from hypothesis import given
from hypothesis import strategies as st
from torch import equal

from medfm_core.errors import InputError
from training.engine.draw import DrawKey
from training.engine.order import Place, SamplesByPosition, item_at, make_loader


@given(st.integers(0, 50), st.sampled_from([(1, 1), (2, 1), (4, 1), (1, 4), (2, 2), (8, 1)]))
def test_shares_of_a_step_are_its_positions_in_order(step, shape):
    world, accumulate = shape
    places = [Place(8, rank, world, accumulate) for rank in range(world)]
    together = [p for place in places for part in place.positions(step) for p in part]
    assert together == list(range(step * 8, step * 8 + 8))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(InputError, match="share evenly"):
        Place(6, 0, 4)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_shows_every_item_once(count, epoch, seed):
    source = ToyData(ToyDataConfig(count))
    shown = [item_at(source, DrawKey(seed, epoch * count + i)) for i in range(count)]
    assert sorted(shown) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own():
    source = ToyData(ToyDataConfig(30))
    orders = {tuple(item_at(source, DrawKey(seed, e * 30 + i)) for i in range(30)) for seed in (0, 1) for e in (0, 1)}
    assert len(orders) == 4


def test_purposes_draw_apart_and_keys_draw_alike():
    key = DrawKey(3, 7)
    assert key.rng("crop").random() == DrawKey(3, 7).rng("crop").random()
    assert len({key.rng("crop").random(), key.rng("flip").random(), DrawKey(3, 8).rng("crop").random()}) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing_and_a_run_may_begin_anywhere(workers):
    toy = Toy(ToyModelConfig(), ToyConfig())
    samples = SamplesByPosition(ToyData(ToyDataConfig()), toy, 5)
    whole = [b["x"] for b in make_loader(samples, Place(4), (0, 6), 0, False)]
    later = [b["x"] for b in make_loader(samples, Place(4), (3, 6), workers, False)]
    assert all(equal(a, b) for a, b in zip(whole[3:], later, strict=True))
