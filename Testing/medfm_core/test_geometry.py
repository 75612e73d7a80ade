"""Affines and grids: what they promise of points in the patient."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import GeometryError
from medfm_core.geometry import Affine, Grid

angles = st.floats(-180, 180)
steps = st.floats(0.3, 9)


def turned(degrees: tuple[float, float, float]) -> np.ndarray:
    """A rotation by three angles."""
    out = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        plane = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        plane[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        out = out @ plane
    return out


@st.composite
def affines(draw: st.DrawFn, shear: bool = True) -> Affine:
    matrix = np.eye(4)
    linear = turned(draw(st.tuples(angles, angles, angles)))
    if draw(st.booleans()):
        linear = linear[:, ::-1]
    if shear:
        linear = linear @ (np.eye(3) + np.triu(np.full((3, 3), draw(st.floats(-0.4, 0.4))), 1))
    matrix[:3, :3] = linear * np.array(draw(st.tuples(steps, steps, steps)))
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Affine(matrix)


@given(affines(), st.lists(st.tuples(*[st.floats(-600, 600)] * 3), min_size=1, max_size=5))
def test_voxel_and_world_are_inverse(affine: Affine, points: list) -> None:
    np.testing.assert_allclose(affine.to_world(affine.to_voxel(np.array(points))), points, atol=1e-8)
    np.testing.assert_allclose(affine.inverse() @ affine.matrix, np.eye(4), atol=1e-9)


@given(affines())
def test_itk_and_back(affine: Affine) -> None:
    assert Affine.from_itk(*affine.to_itk()).matches(affine, 1e-9)


@given(affines(shear=False))
def test_spacing_and_volume_agree_with_nibabel(affine: Affine) -> None:
    np.testing.assert_allclose(affine.spacing, nibabel.affines.voxel_sizes(affine.matrix))
    assert affine.voxel_volume_ml == pytest.approx(np.prod(affine.spacing) / 1000)
    assert affine.is_orthogonal
    if np.abs(affine.direction).max(axis=0).min() > 0.8:  # each axis has one clear neighbour
        assert affine.codes == "".join(nibabel.aff2axcodes(affine.matrix))
        assert affine.obliqueness_deg == pytest.approx(
            np.degrees(nibabel.affines.obliquity(affine.matrix).max()), abs=1e-4
        )


def test_itk_agrees_on_a_point() -> None:
    affine = Affine(np.array([[-0.7, 0, 0.1, 10], [0, -0.8, 0, 20], [0.05, 0, 2.5, 30], [0, 0, 0, 1]]))
    image = SimpleITK.Image(5, 6, 7, SimpleITK.sitkUInt8)
    origin, spacing, direction = affine.to_itk()
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    lps = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3)))
    np.testing.assert_allclose(affine.to_world([1, 2, 3]), lps * [-1, -1, 1], atol=1e-5)


def test_codes_and_handedness() -> None:
    assert Affine(np.diag([-1.0, -1, 1, 1])).codes == "LPS"
    assert Affine(np.eye(4)).codes == "RAS"
    assert Affine(np.eye(4)[[1, 2, 0, 3]]).codes == "SRA"


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (np.eye(3), "4x4"),
        (np.diag([1, 1, np.nan, 1]), "NaN"),
        (np.diag([1, 1, np.inf, 1]), "infinite"),
        (np.diag([1, 1, 0.0, 1]), "no length"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (np.diag([1e300, 1e300, 1e300, 1]), "no length"),
    ],
)
def test_impossible_affines_are_refused(matrix: np.ndarray, word: str) -> None:
    with pytest.raises(GeometryError, match=word), np.errstate(all="ignore"):
        Affine(matrix)


def test_affine_is_read_only_and_copies() -> None:
    matrix = np.eye(4)
    affine = Affine(matrix)
    matrix[0, 3] = 9
    assert affine.origin[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        affine.matrix[0, 0] = 2


def test_grid() -> None:
    grid = Grid((3, 4, 5), Affine(np.diag([1.0, 2, 3, 1])))
    assert grid.voxels == 60
    assert grid.extent_mm == (3, 8, 15)
    assert grid.corners().max(axis=0).tolist() == [2, 6, 12]
    moved = np.diag([1.0, 2, 3, 1])
    moved[0, 3] = 5e-4
    assert grid.same_as(Grid((3, 4, 5), Affine(moved)))
    moved[0, 3] = 5e-3
    assert not grid.same_as(Grid((3, 4, 5), Affine(moved)))
    assert not grid.same_as(Grid((3, 4, 6), grid.affine))


@pytest.mark.parametrize("shape", [(3, 4), (0, 3, 4), (3, 4, 5, 6), (2.5, 3, 3)])
def test_impossible_grids_are_refused(shape: tuple) -> None:
    with pytest.raises(GeometryError, match="no volume"):
        Grid(shape, Affine(np.eye(4)))


@given(affines())
@settings(max_examples=30)
def test_compose_moves_indices(affine: Affine) -> None:
    step = np.array([[0, 1, 0, 2], [1, 0, 0, 0], [0, 0, -1, 7], [0, 0, 0, 1.0]])
    index = np.array([3, 4, 5])
    np.testing.assert_allclose((affine @ step).to_world(index), affine.to_world((step @ [*index, 1])[:3]), atol=1e-9)
