"""Rotary positions: coordinates by hand, what makes the true ones rotations, and the published quirks."""

from __future__ import annotations

import pytest
import torch

from medfm_core.layers.rotary_positions import encoder_coordinates, predictor_coordinates, rotary_table

GRID = (8, 9, 8)


def test_true_coordinates_are_places_on_the_grid():
    places = torch.cartesian_prod(torch.arange(8), torch.arange(9), torch.arange(8))
    assert torch.equal(encoder_coordinates(GRID, "true"), places)
    assert torch.equal(predictor_coordinates(GRID, "true"), places)


def test_published_coordinates_are_scrambled_as_the_release_scrambles_them():
    """Shares as found by running the reference: Neuro-JEPA spec, section 2."""
    true, published = encoder_coordinates(GRID, "true"), encoder_coordinates(GRID, "published")
    right = (true == published).double().mean(dim=0)
    assert right[0] == 1
    assert right[1] == pytest.approx(0.5, abs=0.01)
    assert right[2] == pytest.approx(0.11, abs=0.01)
    cubic = predictor_coordinates(GRID, "published")
    assert cubic[575].tolist() == [8, 7, 7]
    assert torch.equal(cubic[:, 2], true[:, 2])


def test_true_positions_keep_lengths_and_only_differences_matter():
    table = rotary_table(encoder_coordinates((4, 5, 6), "true"), 20, "true")
    torch.manual_seed(0)
    query, key = torch.randn(20), torch.randn(20)
    turned = [table.turn(vector.expand(1, 1, 120, 20))[0, 0].view(4, 5, 6, 20) for vector in (query, key)]
    torch.testing.assert_close(turned[0].norm(dim=-1), query.norm().expand(4, 5, 6))
    one = turned[0][1, 2, 3] @ turned[1][0, 1, 1]
    other = turned[0][3, 4, 5] @ turned[1][2, 3, 3]
    torch.testing.assert_close(one, other)
    assert (one - turned[0][1, 2, 3] @ turned[1][1, 1, 1]).abs() > 1e-3


def test_published_positions_are_no_rotation_and_leave_the_last_channels_alone():
    table = rotary_table(encoder_coordinates(GRID, "published"), 64, "published")
    torch.manual_seed(0)
    values = torch.randn(1, 1, 576, 64)
    turned = table.turn(values)
    assert torch.equal(turned[..., 60:], values[..., 60:])
    change = turned.norm(dim=-1) / values.norm(dim=-1)
    assert change.std() > 1e-3
    torch.testing.assert_close(turned[:, :, 0], values[:, :, 0])


def test_heads_with_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="three axes"):
        rotary_table(encoder_coordinates((2, 2, 2), "true"), 4, "true")
