"""Voxels are reordered for a volume exactly, or refused; segments lie where the scan lies, however it is turned."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from MedFMLib.scene_errors import SceneError
from MedFMLib.scene_nodes import from_vtk, ijk_to_ras
from MedFMLib.scene_saliency import add_saliency
from MedFMLib.voxel_grid import on_grid

SHAPE = (3, 4, 5)


@st.composite
def affines(draw):
    """Any right-angled grid: turned by any angle, mirrored or not, any spacing."""
    q = np.array([draw(st.floats(-1, 1)) for _ in range(4)])
    q[0] += 1e-3
    w, x, y, z = q / np.linalg.norm(q)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    affine = np.eye(4)
    signs = [draw(st.sampled_from((-1, 1))) for _ in range(3)]
    affine[:3, :3] = turn * signs * [draw(st.floats(0.2, 6)) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


@given(affine=affines(), order=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3))
def test_any_order_of_the_axes_comes_back_exactly(affine, order, flips):
    voxels = np.arange(60).reshape(SHAPE[::-1])
    moved, steps = voxels.transpose(2, 1, 0).transpose(order), affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            steps[:3, 3] += (moved.shape[axis] - 1) * steps[:3, axis]
            steps[:3, axis] *= -1
            moved = np.flip(moved, axis)
    assert np.array_equal(on_grid(moved.transpose(2, 1, 0), steps, affine, SHAPE), voxels)


@given(affine=affines(), off=st.sampled_from([(0.2, 0, 0), (0, -0.3, 0), (0, 0, 1), (5, 5, 5)]))
def test_a_grid_beside_the_volume_is_refused(affine, off):
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ off
    with pytest.raises(SceneError, match="another scan"):
        on_grid(np.zeros(SHAPE[::-1]), moved, affine, SHAPE)


@given(affine=affines())
def test_rounding_of_a_stored_affine_is_no_other_place(affine):
    voxels = np.arange(60).reshape(SHAPE[::-1])
    stored = affine.astype(np.float32).astype(float)
    assert np.array_equal(on_grid(voxels, stored, affine, SHAPE), voxels)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(affine=affines())
def test_oblique_results_have_the_volumes_geometry(space, affine):
    import slicer
    from MedFMLib.scene_nodes import fill_image, to_vtk

    volume = space.volume(np.zeros(SHAPE[::-1], np.int16), affine)
    heat = add_saliency(space.scene, np.ones(SHAPE[::-1], np.float32), volume, "x")
    image = fill_image(slicer.vtkOrientedImageData(), np.ones(SHAPE[::-1], np.uint8))
    image.SetGeometryFromImageToWorldMatrix(to_vtk(ijk_to_ras(volume)))
    placed = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(placed)
    assert np.allclose(ijk_to_ras(heat), affine, atol=1e-9)
    assert np.allclose(from_vtk(placed), affine, atol=1e-9)
    space.scene.Clear(False)
