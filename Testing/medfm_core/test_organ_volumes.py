"""Organ volumes: the published preprocessing, step by step, and voxels that keep their place."""

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.card_inputs import InputSpec, Intensity, OrganCrop, Window
from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.organ_volumes import (
    channels_of,
    densities_of,
    organ_size,
    organ_tensor,
    organ_volumes,
    size_features,
    size_of,
    to_organ_grid,
)
from medfm_core.volume import Kind, Volume, resample_to

WINDOWS = Intensity("windows", to=(0, 1), windows=(Window(-600, 1500), Window(40, 400), Window(300, 1500)))
LIVER = 5


def published(**more):
    values = {"orientation": None, "spacing_mm": (0.6, 0.6, 3.0), "spacing_rule": "at_least", "resampling": "linear"}
    values |= {"size": (32, 192, 192), "organs": OrganCrop()}
    return InputSpec(("CT",), WINDOWS, **values | more)


def scan(shape=(30, 28, 20), step=(0.9, 0.5, 1.2), seed=0):
    rng = np.random.default_rng(seed)
    affine = Affine(np.array([[-step[0], 0, 0, 9], [0, -step[1], 0, -4], [0, 0, step[2], 2.5], [0, 0, 0, 1]]))
    return Volume(rng.integers(-1000, 1000, shape).astype(np.int16), affine, Kind.IMAGE, "CT")


def itk_of(volume):
    image = SimpleITK.GetImageFromArray(volume.voxels.transpose(2, 1, 0).astype(np.float32))
    origin, spacing, direction = volume.affine.to_itk()
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    return image


def test_the_grid_is_what_itk_makes_of_the_published_rule():
    volume = scan()
    wanted = [max(a, b) for a, b in zip((0.6, 0.6, 3.0), volume.spacing, strict=True)]
    size = [round(n * old / new) for n, old, new in zip(volume.shape, volume.spacing, wanted, strict=True)]
    image = itk_of(volume)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.Resample(
        image, size, SimpleITK.Transform(), SimpleITK.sitkLinear, image.GetOrigin(), wanted, image.GetDirection(),
        -1000.0, SimpleITK.sitkFloat32,
    )).transpose(2, 1, 0)  # fmt: skip
    found = to_organ_grid(volume, published())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.voxels, expected, atol=2e-2)


def test_what_is_coarse_already_stays_as_it_is():
    volume = scan(step=(0.7, 0.8, 5.0))
    assert to_organ_grid(volume, published()) is volume


def test_windows_come_before_the_size():
    hu = torch.randn(5, 9, 7) * 400
    mask = torch.zeros(5, 9, 7, dtype=torch.bool)
    spec = published(size=(4, 8, 8))
    expected = torch.stack(
        [((hu - low) / (high - low)).clamp(0, 1) for low, high in ((-1350, 150), (-160, 240), (-450, 1050))]
    )
    expected = torch.nn.functional.interpolate(expected[None], (4, 8, 8), mode="trilinear", align_corners=False)[0]
    torch.testing.assert_close(organ_tensor(hu, mask, spec), expected)


def test_the_outline_is_the_last_channel_where_the_card_wants_it():
    labels = np.zeros((30, 28, 20), np.uint8)
    labels[5:15, 6:16, 4:9] = LIVER
    volume = scan(step=(1, 1, 3))
    spec = published(size=(5, 12, 12), organs=OrganCrop(shortest=12, longest=20, mask=True))
    found = next(organ_volumes(volume, volume.with_voxels(labels, Kind.LABEL), spec))
    assert found.voxels.shape == (4, 5, 12, 12)
    assert found.voxels[3].sum() == pytest.approx(10 * 10 * 5)


def test_extremes_keep_a_stone_that_the_mean_loses():
    hu = torch.full((40, 80, 80), 30.0)
    hu[21, 41, 41], hu[11, 13, 15] = 900.0, -900.0
    spec = published(size=(10, 20, 20), organs=OrganCrop(extremes=True, mask=True))
    found = organ_tensor(hu, torch.ones(40, 80, 80, dtype=torch.bool), spec)
    plain = organ_tensor(hu, torch.ones(40, 80, 80, dtype=torch.bool), published(size=(10, 20, 20)))
    assert found.shape[0] == channels_of(spec) == 10
    torch.testing.assert_close(found[:3], plain)
    wide = 2  # the window from -450 to 1050 HU
    assert found[3 + wide].max() == pytest.approx(1350 / 1500)
    assert found[6 + wide].min() == 0
    assert (found[3 + wide] == found[3 + wide].max()).nonzero().tolist() == [[5, 10, 10]]
    assert found[9].min() == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.floats(-200, 200))
def test_densities_are_quantiles_of_the_organ_alone(seed, level):
    rng = np.random.default_rng(seed)
    hu, mask = rng.normal(level, 30, (6, 7, 8)).astype(np.float32), rng.random((6, 7, 8)) < 0.5
    mask[0, 0, 0] = True
    hu[~mask] = 3000.0
    spec = published(organs=OrganCrop(densities=(0.0, 0.5, 1.0)))
    found = densities_of(hu, mask, spec).reshape(3, 3)
    inside = np.array([hu[mask].min(), np.median(hu[mask]), hu[mask].max()])
    expected = [np.clip((inside - low) / (high - low), 0, 1) for low, high in ((-1350, 150), (-160, 240), (-450, 1050))]
    np.testing.assert_allclose(found.numpy(), 2 * np.array(expected) - 1, atol=1e-4)
    both = organ_size(hu, mask, (1, 1, 1), spec)
    assert len(both) == size_features(spec) == 13
    torch.testing.assert_close(both[:4], size_of(mask, (1, 1, 1)))


def test_densities_of_nothing_are_those_of_the_crop():
    spec = published(organs=OrganCrop(densities=(0.5,)))
    hu = np.full((3, 3, 3), 40.0, np.float32)
    assert densities_of(hu, np.zeros((3, 3, 3), bool), spec)[1] == 0.0
    assert densities_of(hu, np.zeros((3, 3, 3), bool), published()).shape == (0,)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.tuples(*[st.integers(8, 20)] * 3))
def test_an_organ_volume_lies_where_its_organ_lies(seed, shape):
    """A ramp through the patient: interpolating it is exact, so every voxel of the crop must hold its own place."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(rng.uniform(0.7, 3, 3)) @ np.diag(rng.choice([-1, 1], 3))
    matrix[:3, 3] = rng.uniform(-50, 50, 3)
    affine, slope = Affine(matrix), rng.uniform(-1, 1, 3)
    place = affine.to_world(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
    image = Volume((place @ slope).astype(np.float32), affine, Kind.IMAGE, "CT")
    labels = np.zeros(shape, np.uint8)
    labels[2:-2, 2:-2, 2:-2] = LIVER
    spec = InputSpec(
        ("CT",), Intensity("clip_scale", hu=(-1000, 1000), to=(-1000, 1000)), "LPS", (0.1, 0.1, 0.1), "at_least",
        (6, 5, 7), resampling="antialiased", organs=OrganCrop(shortest=3, longest=60),
    )  # fmt: skip
    found = next(organ_volumes(image, Volume(labels, affine, Kind.LABEL), spec))
    where = found.grid.affine.to_world(np.stack(np.meshgrid(*map(np.arange, (7, 5, 6)), indexing="ij"), -1))
    inside = tuple(slice(1, -1) for _ in range(3))  # at the faces the outermost voxel goes on
    np.testing.assert_allclose(found.voxels[0].numpy().transpose(2, 1, 0)[inside], (where @ slope)[inside], atol=0.02)
    back = resample_to(
        Volume(found.voxels[0].numpy().transpose(2, 1, 0), found.grid.affine, Kind.IMAGE, "CT"), image.grid
    )
    middle = tuple(n // 2 for n in shape)
    assert back.voxels[middle] == pytest.approx(image.voxels[middle], abs=0.05)


def test_sizes_are_those_of_the_organ_not_of_the_crop():
    mask = np.zeros((20, 30, 40), bool)
    mask[5:15, 10:20, 20:30] = True
    size = size_of(mask, (10.0, 5.0, 2.0))
    np.testing.assert_allclose(np.exp(size.numpy()), [1.0, 0.5, 0.2, 1000 * 0.1 / 100], rtol=1e-5)
    assert torch.isfinite(size_of(np.zeros((3, 3, 3), bool), (1, 1, 1))).all()


def test_cards_without_organs_are_refused():
    volume = scan()
    with pytest.raises(InputError, match="organs one by one"):
        next(
            organ_volumes(
                volume, volume.with_voxels(np.zeros(volume.shape, np.uint8), Kind.LABEL), published(organs=None)
            )
        )
