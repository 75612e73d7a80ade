"""Degrees of anisotropy, and the state that travels with an activation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import SINGLE_SLICE_SPACING_MM, Anisotropy, adaptive_patch, degree_of_anisotropy

lengths = st.floats(0.05, 20)


@pytest.mark.parametrize(
    ("spacing", "degree"),
    [
        ((5, 0.7, 0.7), 2),
        ((1, 0.7, 0.7), 0),
        ((3, 0.75, 0.75), 2),
        ((9, 1.62, 1.62), 2),
        ((SINGLE_SLICE_SPACING_MM, 0.1, 0.1), 5),
        ((0.5, 1, 1), 0),
        ((3.6, 0.9, 0.9), 2),
        ((8, 1, 2), 3),
        ((40, 1, 1), 5),
    ],
)
def test_examples(spacing, degree):
    assert degree_of_anisotropy(spacing) == degree


@given(lengths, lengths, lengths, st.integers(0, 3))
def test_slices_twice_as_thick_are_one_degree_more(depth, rows, columns, times):
    degree = degree_of_anisotropy((depth, rows, columns), most=99)
    if depth >= min(rows, columns):
        assert degree_of_anisotropy((depth * 2**times, rows, columns), most=99) == degree + times
    assert degree_of_anisotropy((depth, columns, rows), most=99) == degree


@given(lengths, lengths)
def test_a_token_is_nearly_a_cube(depth, side):
    degree = degree_of_anisotropy((depth, side, side))
    slices, pixels, _ = adaptive_patch(16, degree)
    if 1 <= depth / side < 16:
        assert 1 - 1e-4 <= (slices * depth) / (pixels * side) < 2 + 1e-4


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, math.nan, 1), (1, 1), (-1, 1, 1)])
def test_what_is_no_spacing_is_refused(spacing):
    with pytest.raises(InputError, match="not three positive"):
        degree_of_anisotropy(spacing)


@given(st.integers(0, 30), st.integers(0, 6))
def test_down_and_up_again(degree, times):
    state = Anisotropy(degree)
    assert (state.pending, state.owed) == (degree, 0)
    low = state.halved(times)
    assert low.pending - low.owed == degree - times
    assert min(low.pending, low.owed) == 0
    assert low.doubled(times) == state
    with pytest.raises(ValueError, match="beyond"):
        low.doubled(times + 1)
