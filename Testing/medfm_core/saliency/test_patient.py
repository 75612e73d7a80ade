"""A map lands where its organ volume was cut from, on grids that are turned in any way."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medfm_core.errors import GeometryError
from medfm_core.geometry import Affine, Grid
from medfm_core.io import read_volume
from medfm_core.saliency import in_patient, write_saliency
from medfm_core.volume import Volume


def turned(angles, spacing, centre, shape, flips=(1, 1, 1)):
    """A grid around `centre`, its axes turned by Euler angles and flipped."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing * np.array(flips)
    matrix[:3, 3] = np.array(centre) - matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, Affine(matrix))


def world(grid):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.affine.to_world(index)


def scan(grid):
    return Volume(np.zeros(grid.shape, dtype=np.int16), grid.affine, modality="CT", meta={"format": "nifti"})


angle = st.floats(-30, 30)
three = st.tuples(angle, angle, angle)
flip = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@given(three, three, flip, st.tuples(*[st.floats(-8, 8)] * 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_bright_blob_lands_at_the_same_millimetres(of_scan, of_crop, flips, offset, is_aligned):
    centre = np.array([12.0, -30.0, 250.0])
    image = turned(of_scan, (2.0, 2.5, 4.0), centre, (40, 34, 24), flips)
    crop = turned(of_scan if is_aligned else of_crop, (2.2, 2.0, 3.0), centre, (22, 24, 14))
    blob = centre + np.array(offset)
    bright = np.exp(-(np.linalg.norm(world(crop) - blob, axis=-1) ** 2) / (2 * 4.0**2)).astype(np.float32)
    bright[bright < 1e-3] = 0
    placed = in_patient(torch.from_numpy(bright.T.copy()), crop, scan(image))
    assert placed.shape == image.shape
    assert np.array_equal(placed.affine.matrix, image.affine.matrix)
    assert placed.voxels.dtype == np.float32
    assert placed.voxels.min() >= 0
    weights = placed.voxels.astype(np.float64)
    found = (world(image) * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()
    assert np.linalg.norm(found - blob) < 0.7
    mass = [voxels.sum() * grid.affine.voxel_volume_ml for voxels, grid in ((bright, crop), (placed.voxels, image))]
    assert mass[1] == pytest.approx(mass[0], rel=0.15)


@given(three, three, flip, st.tuples(*[st.floats(-60, 60)] * 3))
@settings(max_examples=25, deadline=None)
def test_the_crop_is_filled_and_nothing_lies_outside_it(of_scan, of_crop, flips, offset):
    image = turned(of_scan, (2.0, 2.5, 4.0), (0, 0, 0), (30, 26, 20), flips)
    crop = turned(of_crop, (2.2, 2.0, 3.0), offset, (12, 14, 9))
    at = crop.affine.to_voxel(world(image))
    faces = np.array(crop.shape) - 0.5
    inside = ((at > -0.5 + 1e-3) & (at < faces - 1e-3)).all(axis=-1)
    outside = ((at < -0.5 - 1e-3) | (at > faces + 1e-3)).any(axis=-1)
    try:
        placed = in_patient(torch.ones(crop.shape[::-1]), crop, scan(image))
    except GeometryError:
        assert not inside.any()
        return
    np.testing.assert_allclose(placed.voxels[inside], 1, atol=1e-5)
    assert not placed.voxels[outside].any()


def test_a_map_on_the_scans_own_grid_is_kept_exactly():
    image = turned((3, 5, -9), (1.0, 1.5, 3.0), (5, 6, 7), (12, 11, 10))
    shift = np.eye(4)
    shift[:3, 3] = 3, 2, 4
    crop = Grid((5, 6, 4), image.affine @ shift)
    saliency = torch.rand(4, 6, 5)
    placed = in_patient(saliency, crop, scan(image))
    np.testing.assert_allclose(placed.voxels[3:8, 2:8, 4:8], saliency.numpy().T, atol=1e-6)
    assert np.count_nonzero(placed.voxels) == np.count_nonzero(saliency.numpy())


def test_is_written_on_the_files_own_grid(tmp_path):
    grid = turned((8, -4, 12), (0.9, 0.9, 2.0), (10, 20, 30), (24, 22, 16))
    source = nibabel.Nifti1Image(np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape), grid.affine.matrix)
    source.set_qform(grid.affine.matrix, 1)
    source.set_sform(grid.affine.matrix, 2)
    nibabel.save(source, tmp_path / "ct.nii.gz")
    image = read_volume(tmp_path / "ct.nii.gz")
    crop = turned((8, -4, 12), (1.0, 1.0, 2.0), (10, 20, 30), (10, 10, 6))
    saliency = torch.rand(6, 10, 10)
    placed = write_saliency(saliency, crop, image, tmp_path / "saliency.nii.gz")
    there = nibabel.load(tmp_path / "saliency.nii.gz")
    assert np.array_equal(there.affine, nibabel.load(tmp_path / "ct.nii.gz").affine)
    assert there.shape == image.shape
    assert there.header["sform_code"] == 2
    assert there.get_data_dtype() == np.float32
    np.testing.assert_array_equal(there.get_fdata(dtype=np.float32), placed.voxels)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ct.nii.gz", "saliency.nii.gz"]


def test_refuses_what_does_not_fit():
    image, crop = (turned((0, 0, 0), (1, 1, 1), centre, (8, 8, 8)) for centre in ((0, 0, 0), (99, 0, 0)))
    with pytest.raises(GeometryError, match="outside the image"):
        in_patient(torch.ones(8, 8, 8), crop, scan(image))
    with pytest.raises(GeometryError, match="does not lie on a crop"):
        in_patient(torch.ones(8, 8, 7), image, scan(image))
