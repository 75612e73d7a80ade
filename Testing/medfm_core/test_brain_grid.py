"""The published loading chain of brains, against MONAI's and scipy's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medfm_core.brain_grid import area_resized, centre_fitted, resample_spline, scale_by_percentiles, to_brain_grid
from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Volume, resample_to

PERCENTILES = Intensity("percentiles", percentiles=(0.5, 99.5), to=(0.0, 1.0))
SPEC = InputSpec(("MR",), PERCENTILES, orientation="SAR", spacing_mm=(1.0, 1.0, 1.0), size=(30, 36, 30))


def brain(spacing=1.0, size=40):
    """A bright ball off the middle of a dark cube, brighter towards the front."""
    x = np.mgrid[:size, :size, :size].astype(np.float32) - size / 2 + 0.5
    ball = (x[0] - 2) ** 2 + x[1] ** 2 + (x[2] + 1) ** 2 < (0.3 * size) ** 2
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = (-10, 5, 3)
    return Volume(np.where(ball, 100 + x[1], 0).astype(np.float32), Affine(matrix), modality="MR")


@pytest.mark.parametrize("order", ["training", "notebook"])
def test_both_orders_are_those_of_the_release(order):
    monai = pytest.importorskip("monai.transforms")
    volume = brain()
    scale = monai.ScaleIntensityRangePercentiles(0.5, 99.5, 0, 1, clip=True)
    fit, tissue = (
        monai.ResizeWithPadOrCrop((54, 65, 54), mode="edge"),
        monai.CropForeground(margin=4, allow_smaller=True),
    )
    resize, middle = monai.Resize((30, 36, 30)), monai.CenterSpatialCrop((28, 32, 28))
    steps = [scale, fit, tissue, resize, middle] if order == "training" else [tissue, fit, resize, middle, scale]
    expected = torch.from_numpy(volume.voxels)[None]
    for step in steps:
        expected = step(expected)
    made = to_brain_grid(volume, SPEC, order, (28, 32, 28))
    assert made.affine.codes == "RAS"
    assert np.abs(made.voxels - expected[0].numpy()).max() < 1e-5


def test_the_orientation_of_the_file_does_not_matter():
    volume = brain()
    turned = Volume(volume.voxels[::-1].transpose(2, 0, 1), volume.affine @ _turn(volume.shape[0]), modality="MR")
    one, other = to_brain_grid(volume, SPEC), to_brain_grid(turned, SPEC)
    assert np.allclose(one.voxels, other.voxels, atol=1e-6)
    assert np.allclose(one.affine.matrix, other.affine.matrix, atol=1e-4)


def _turn(length):
    step = np.zeros((4, 4))
    step[0, 1], step[0, 3] = -1, length - 1
    step[1, 2] = step[2, 0] = step[3, 3] = 1
    return step


@pytest.mark.parametrize("order", ["training", "notebook"])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_what_is_computed_there_comes_back_to_the_same_place(order, spacing):
    volume = brain(spacing)
    made = to_brain_grid(volume, SPEC, order)
    back = resample_to(made.with_voxels((made.voxels > 0.4).astype(np.float32)), volume.grid).voxels > 0.5
    truth = volume.voxels > 0
    assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > 0.93


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(3, 20)] * 3), st.tuples(*[st.integers(2, 24)] * 3))
def test_area_resizing_is_adaptive_average_pooling(shape, size):
    voxels = np.random.default_rng(0).random(shape, np.float32)
    made = area_resized(Volume(voxels, Affine(np.eye(4))), size)
    expected = torch.nn.functional.adaptive_avg_pool3d(torch.from_numpy(voxels)[None], size)[0].numpy()
    assert np.allclose(made.voxels, expected, atol=1e-5)
    corner = np.array([-0.5, -0.5, -0.5, 1.0])
    assert np.allclose(made.affine.matrix @ corner, corner)  # the outer faces stay


def test_splines_are_those_of_degree_five():
    voxels = np.random.default_rng(1).random((12, 9, 10), np.float32)
    volume = Volume(voxels, Affine(np.diag([2.0, 1.5, 1.0, 1.0])))
    made = resample_spline(volume, (1.0, 1.0, 1.0))
    factor = 1 / np.array(volume.spacing)
    expected = ndimage.affine_transform(voxels, factor, output_shape=made.shape, order=5, mode="nearest")
    assert np.allclose(made.voxels, expected, atol=1e-5)


@given(st.integers(1, 30), st.integers(1, 30))
def test_fitting_keeps_voxels_in_their_place(have, want):
    voxels = np.arange(1, have + 1, dtype=np.float32)[:, None, None]
    made = centre_fitted(Volume(voxels, Affine(np.eye(4))), (want, 1, 1))
    assert made.shape == (want, 1, 1)
    for index in range(want):
        place = (made.affine.matrix @ [index, 0, 0, 1])[0]
        inside = 0 <= place < have
        assert made.voxels[index, 0, 0] == (voxels[round(place), 0, 0] if inside else 0)


def test_a_constant_image_and_a_dark_one():
    assert (scale_by_percentiles(np.full((3, 3, 3), 7.0), PERCENTILES) == 0).all()
    with pytest.raises(InputError, match="above 0"):
        to_brain_grid(Volume(np.zeros((8, 8, 8), np.float32), Affine(np.eye(4))), SPEC)
    with pytest.raises(InputError, match="size"):
        to_brain_grid(brain(), InputSpec(("MR",), PERCENTILES, orientation="SAR", spacing_mm=(1.0, 1.0, 1.0)))
