"""Volume operations: a voxel keeps its place in the patient, whatever is done to the array."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.errors import InputError
from medfm_core.geometry import Affine, Grid
from medfm_core.volume import Kind, Volume, crop, flip, foreground_box, pad, reorient, resample, resample_to

ORIENTATIONS = ["".join(code) for pair in permutations(("RL", "AP", "SI")) for code in product(*pair)]
shapes = st.tuples(*[st.integers(1, 6)] * 3)


def oblique(seed: int) -> Affine:
    """A rotated, sheared, shifted affine."""
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = basis @ np.diag(random.uniform(0.5, 4, 3)) @ (np.eye(3) + 0.1 * random.normal(size=(3, 3)))
    matrix[:3, 3] = random.uniform(-300, 300, 3)
    return Affine(matrix)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Volumes whose voxels all differ."""
    shape = draw(shapes)
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape, order=draw(st.sampled_from("CF")))
    return Volume(voxels, oblique(draw(st.integers(0, 99))), modality="CT")


def places(volume: Volume) -> dict[int, np.ndarray]:
    """Where each value lies."""
    indices = np.argwhere(np.ones(volume.shape, dtype=bool))
    points = volume.affine.to_world(indices)
    return dict(zip(volume.voxels[tuple(indices.T)].tolist(), points, strict=True))


def assert_same_places(before: Volume, after: Volume, allowed_new: float | None = None) -> None:
    first, second = places(before), places(after)
    for value, point in second.items():
        if value != allowed_new:
            np.testing.assert_allclose(point, first[value], atol=1e-8)


@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_reorient(volume: Volume, codes: str) -> None:
    turned = reorient(volume, codes)
    assert turned.affine.codes == codes
    assert turned.voxels.size == volume.voxels.size
    assert_same_places(volume, turned)
    back = reorient(turned, volume.affine.codes)
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    assert back.affine.matches(volume.affine, 1e-9)


def test_reorient_agrees_with_nibabel() -> None:
    volume = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), Affine(np.diag([-1.0, 2, 3, 1])))
    ours = reorient(volume, "PSR")
    image = nibabel.Nifti1Image(volume.voxels, volume.affine.matrix)
    change = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt("PSR")
    )
    theirs = image.as_reoriented(change)
    np.testing.assert_array_equal(ours.voxels, np.asarray(theirs.dataobj))
    np.testing.assert_allclose(ours.affine.matrix, theirs.affine)


@given(volumes(), st.integers(0, 2))
def test_flip(volume: Volume, axis: int) -> None:
    flipped = flip(volume, axis)
    assert_same_places(volume, flipped)
    np.testing.assert_array_equal(flip(flipped, axis).voxels, volume.voxels)
    assert flip(flipped, axis).affine.matches(volume.affine, 1e-9)


@given(volumes(), st.data())
def test_crop_then_pad_is_bit_exact(volume: Volume, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 1)) for n in volume.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, volume.shape, strict=True))
    small = crop(volume, start, stop)
    assert_same_places(volume, small)
    back = pad(small, start, np.subtract(volume.shape, stop), value=-1)
    assert back.grid.same_as(volume.grid, 1e-8)
    inside = back.voxels != -1
    np.testing.assert_array_equal(back.voxels[inside], volume.voxels[inside])
    assert inside.sum() == small.voxels.size


@given(volumes())
def test_pad_keeps_places_and_fills_with_air(volume: Volume) -> None:
    padded = pad(volume, (1, 0, 2), (0, 3, 1))
    assert padded.shape == (volume.shape[0] + 1, volume.shape[1] + 3, volume.shape[2] + 3)
    assert_same_places(volume, padded, allowed_new=-1024)


@pytest.mark.parametrize("codes", ["LP", "LLS", "XYZ", "LPSA", ""])
def test_impossible_orientations_are_refused(codes: str) -> None:
    with pytest.raises(InputError, match="no orientation"):
        reorient(Volume(np.zeros((2, 2, 2), np.int16), Affine(np.eye(4))), codes)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: crop(v, (0, 0, 0), (0, 1, 1)),
        lambda v: crop(v, (-1, 0, 0), (1, 1, 1)),
        lambda v: crop(v, (0, 0, 0), (3, 2, 2)),
        lambda v: pad(v, (-1, 0, 0), (0, 0, 0)),
        lambda v: pad(v, (1, 0, 0), (0, 0, 0), value=1e9),
        lambda v: pad(v, (1, 0, 0), (0, 0, 0), value=0.5),
        lambda v: flip(v, 3),
        lambda v: resample(v, 0),
        lambda v: resample(v, (1, 1, float("nan"))),
        lambda v: v.with_voxels(np.zeros((1, 2, 2))),
    ],
)
def test_impossible_changes_are_refused(change: object) -> None:
    with pytest.raises(InputError):
        change(Volume(np.ones((2, 2, 2), np.int16), Affine(np.eye(4))))


@pytest.mark.parametrize(
    ("voxels", "kind"),
    [
        (np.zeros((2, 2)), Kind.IMAGE),
        (np.zeros((2, 2, 0)), Kind.IMAGE),
        (np.zeros((2, 2, 2)), Kind.LABEL),
        (np.zeros((2, 2, 2), complex), Kind.IMAGE),
        (np.full((2, 2, 2), "a"), Kind.LABEL),
    ],
)
def test_what_is_no_volume_is_refused(voxels: np.ndarray, kind: Kind) -> None:
    with pytest.raises(InputError):
        Volume(voxels, Affine(np.eye(4)), kind)


def test_meta_is_read_only_and_travels() -> None:
    volume = Volume(np.ones((2, 2, 2), np.int16), Affine(np.eye(4)), meta={"format": "nifti"}, modality="CT")
    with pytest.raises(TypeError):
        volume.meta["format"] = "other"
    assert crop(volume, (0, 0, 0), (1, 1, 1)).meta["format"] == "nifti"
    assert volume.with_voxels(np.zeros((2, 2, 2), np.uint8), Kind.LABEL).modality == "CT"


def test_foreground_box() -> None:
    mask = np.zeros((5, 6, 7), bool)
    assert foreground_box(mask) is None
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert foreground_box(mask) == ((1, 2, 3), (4, 3, 7))
    assert foreground_box(np.asfortranarray(mask)) == ((1, 2, 3), (4, 3, 7))


@given(volumes(), st.floats(0.4, 3))
@settings(max_examples=40)
def test_resample_keeps_the_centre(volume: Volume, factor: float) -> None:
    coarse = resample(volume, np.array(volume.spacing) * factor)
    centre = [volume.affine.to_world((np.array(v.shape) - 1) / 2) for v in (volume, coarse)]
    np.testing.assert_allclose(coarse.affine.to_world((np.array(coarse.shape) - 1) / 2), centre[0], atol=1e-8)
    np.testing.assert_allclose(coarse.spacing, np.array(volume.spacing) * factor)
    assert coarse.voxels.dtype == np.float32
    assert np.abs(np.array(coarse.grid.extent_mm) - volume.grid.extent_mm).max() <= max(coarse.spacing)


def test_resampling_to_its_own_grid_changes_nothing() -> None:
    volume = Volume(np.random.default_rng(0).integers(-1000, 1000, (7, 8, 9)).astype(np.int16), oblique(3))
    np.testing.assert_array_equal(resample_to(volume, volume.grid).voxels, volume.voxels)
    for codes in ("RAS", "SLA"):
        np.testing.assert_array_equal(resample_to(reorient(volume, codes), volume.grid).voxels, volume.voxels)


def test_outside_is_air_for_ct_and_zero_for_labels() -> None:
    far = Grid((2, 2, 2), Affine(np.array([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])))
    voxels = np.full((3, 3, 3), 7, np.int16)
    assert (resample_to(Volume(voxels, Affine(np.eye(4)), modality="CT"), far).voxels == -1024).all()
    assert (resample_to(Volume(voxels, Affine(np.eye(4)), modality="MR"), far).voxels == 7).all()
    assert (resample_to(Volume(voxels, Affine(np.eye(4)), Kind.LABEL), far).voxels == 0).all()
    assert (resample_to(Volume(voxels, Affine(np.eye(4))), far, fill=3).voxels == 3).all()
