"""Stacks of slices from positions alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import GeometryError
from medfm_core.io.dicom.stack import build_stack, check_orientation

AXIAL = np.array([1.0, 0, 0, 0, 1, 0])
PIXEL = np.array([0.8, 0.7])


def positions(count: int, step: tuple = (0, 0, 2.5), origin: tuple = (-10, -20, 30)) -> np.ndarray:
    return np.array(origin, float) + np.arange(count)[:, None] * np.array(step, float)


@given(st.integers(2, 40), st.integers(0, 999), st.floats(0.3, 8))
@settings(max_examples=60, deadline=None)
def test_every_slice_lies_where_its_header_says(count: int, seed: int, distance: float) -> None:
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(random.normal(size=(3, 3)))
    orientation = np.concatenate([basis[:, 0], basis[:, 1]])
    normal = np.cross(basis[:, 0], basis[:, 1])
    places = positions(count, normal * distance, random.uniform(-300, 300, 3))
    shuffled = random.permutation(count)
    stack = build_stack(places[shuffled], orientation, PIXEL, "it")
    for k, group in enumerate(stack.order):
        lps = stack.affine.to_world([0, 0, k]) * [-1, -1, 1]
        np.testing.assert_allclose(lps, places[shuffled][group[0]], atol=1e-6)
    np.testing.assert_allclose(stack.affine.spacing, (0.7, 0.8, distance), rtol=1e-9)
    assert stack.affine.is_orthogonal
    assert stack.warnings == ()


def test_first_array_axis_runs_along_rows() -> None:
    stack = build_stack(positions(3), AXIAL, PIXEL, "it")
    assert stack.affine.codes == "LPS"
    np.testing.assert_allclose(stack.affine.to_world([1, 0, 0]) - stack.affine.origin, [-0.7, 0, 0])
    np.testing.assert_allclose(stack.affine.to_world([0, 1, 0]) - stack.affine.origin, [0, -0.8, 0])


@pytest.mark.parametrize("tilt", [-20, -2, 5, 25])
def test_gantry_tilt_is_kept_as_shear(tilt: float) -> None:
    drift = 2.5 * np.tan(np.radians(tilt))
    places = positions(20, (0, drift, 2.5))
    stack = build_stack(places, AXIAL, PIXEL, "it")
    np.testing.assert_allclose(stack.affine.to_world([0, 0, 19]) * [-1, -1, 1], places[19], atol=1e-9)
    assert not stack.affine.is_orthogonal
    assert f"gantry tilt, {abs(tilt):.1f} degrees" in stack.warnings[0]


def test_rounded_positions_make_a_straight_stack() -> None:
    places = positions(50, (0, 0, 1.25))
    places[:, 2] = np.round(places[:, 2], 1)
    places[:, 0] += np.random.default_rng(0).uniform(-0.02, 0.02, 50)
    stack = build_stack(places, AXIAL, PIXEL, "it")
    assert stack.affine.is_orthogonal
    assert stack.affine.spacing[2] == pytest.approx(1.25, abs=2e-3)
    assert "vary" in stack.warnings[0]


def test_images_of_one_place_are_kept_together() -> None:
    places = positions(4)[[0, 1, 2, 3, 1]]
    assert build_stack(places, AXIAL, PIXEL, "it").order == ((0,), (1, 4), (2,), (3,))


@pytest.mark.parametrize(
    ("heights", "words"),
    [
        ([0, 1, 2, 4, 5], ("lacks 1 slice ", "between 2.0 and 4.0 mm", "1 mm apart")),
        ([0, 1, 4, 5, 7, 8], ("lacks 3 slices", "between 1.0 and 4.0 mm, between 5.0 and 7.0 mm")),
        ([0, 1, 3, 4, 6, 7, 9, 10, 12, 13], ("lacks 4 slices", "at 1 more places")),
        ([0, 1, 2.3, 3, 4], ("unevenly spaced, 0.7 to 1.3 mm",)),
        ([0, 5, 10, 12.5, 15, 17.5], ("lacks 2 slices",)),
        ([3, 3], ("one slice",)),
    ],
)
def test_gaps_and_uneven_slices_are_refused(heights: list, words: tuple) -> None:
    places = positions(len(heights))
    places[:, 2] = heights
    with pytest.raises(GeometryError) as caught:
        build_stack(places, AXIAL, PIXEL, "the series")
    for word in words:
        assert word in str(caught.value)


def test_a_slice_beside_the_others_is_refused() -> None:
    places = positions(6)
    places[3, 0] += 5
    with pytest.raises(GeometryError, match="do not lie behind one another"):
        build_stack(places, AXIAL, PIXEL, "it")


@pytest.mark.parametrize("values", [(1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 1, 0), (0, 0, 0, 0, 1, 0), (1, 0, 0, 0.1, 1, 0)])
def test_what_is_no_orientation_is_refused(values: tuple) -> None:
    with pytest.raises(GeometryError, match="right angles"):
        check_orientation(np.array(values, float), "image 1")


def test_orientation_is_made_exact() -> None:
    made = check_orientation(np.array([0.999, 0, 0, 0, 1.001, 0]), "image 1")
    np.testing.assert_allclose(made, AXIAL)
