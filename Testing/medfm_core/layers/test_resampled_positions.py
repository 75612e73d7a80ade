"""Positions on other grids than theirs."""

from __future__ import annotations

import torch
from torch.nn import functional

from medfm_core.layers.resampled_positions import ResampledPositions, resample_grid


def test_its_own_grid_is_passed_on():
    positions = ResampledPositions((2, 3, 4), 6)
    torch.testing.assert_close(positions((2, 3, 4)), positions.table[0].permute(1, 2, 3, 0).flatten(0, 2))
    assert positions.table.abs().max() <= 0.04


def test_axes_that_shrink_are_averaged_and_axes_that_grow_interpolated():
    table = torch.randn(1, 3, 4, 5, 6)
    torch.testing.assert_close(resample_grid(table, (2, 3, 6)), functional.adaptive_avg_pool3d(table, (2, 3, 6)))
    torch.testing.assert_close(
        resample_grid(table, (8, 7, 9)), functional.interpolate(table, (8, 7, 9), mode="trilinear")
    )
    shrunk = functional.adaptive_avg_pool3d(table, (1, 5, 6))
    torch.testing.assert_close(
        resample_grid(table, (1, 10, 12)), functional.interpolate(shrunk, (1, 10, 12), mode="trilinear")
    )


def test_autocast_does_not_round_them():
    table = torch.randn(1, 3, 4, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        resampled = resample_grid(table, (2, 7, 6))
    assert torch.equal(resampled, resample_grid(table, (2, 7, 6)))
