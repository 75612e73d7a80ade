"""Positions: how learned tables are read for other grids, and what fixed ones are."""

from __future__ import annotations

import math

import pytest
import torch

from medfm_core.layers.learned_positions import FactorisedPositions, nearest_entries
from medfm_core.layers.sincos_positions import sincos_positions


def test_a_learned_position_is_the_entries_of_its_three_axes():
    positions = FactorisedPositions((2, 3, 4), 9)
    code = positions((2, 3, 4)).view(2, 3, 4, 9)
    tables = list(positions.tables)
    for h, w, d in [(0, 0, 0), (1, 2, 3), (1, 0, 2)]:
        assert torch.equal(code[h, w, d], torch.cat([tables[0][h], tables[1][w], tables[2][d]]))
    assert all(table.min() >= 0 and table.max() < 1 for table in tables)


@pytest.mark.parametrize(
    ("entries", "size", "read"),
    [
        (4, 4, [0, 1, 2, 3]),
        (4, 3, [0, 2, 3]),
        (12, 6, [0, 2, 4, 7, 9, 11]),
        (8, 1, [0]),
        (3, 6, [0, 0, 1, 1, 2, 2]),
    ],
)
def test_other_grids_read_the_nearest_entries(entries, size, read):
    assert nearest_entries(entries, size).tolist() == read


def test_every_table_gets_a_gradient():
    positions = FactorisedPositions((2, 3, 4), 9)
    positions((2, 3, 4)).sum().backward()
    assert [table.grad[0, 0].item() for table in positions.tables] == [12, 8, 6]


def test_a_width_without_thirds_is_refused():
    with pytest.raises(ValueError, match="multiple of 3"):
        FactorisedPositions((2, 2, 2), 10)


def test_fixed_positions_are_sines_and_cosines_of_each_axis():
    code = sincos_positions((2, 3, 4), 14).view(2, 3, 4, 14)
    low = 10_000**-0.5
    for h, w, d in [(0, 0, 0), (1, 2, 3)]:
        expected = []
        for place in (h, w, d):
            expected += [math.sin(place), math.sin(place * low), math.cos(place), math.cos(place * low)]
        torch.testing.assert_close(code[h, w, d], torch.tensor([*expected, 0.0, 0.0]))
    assert len(code.view(-1, 14).unique(dim=0)) == 24


def test_fixed_positions_need_six_channels():
    with pytest.raises(ValueError, match="at least 6"):
        sincos_positions((2, 2, 2), 5)
