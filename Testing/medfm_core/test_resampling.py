"""Interpolation against plain references: straight ramps, exact averages, ITK and a voxel-by-voxel loop."""

from __future__ import annotations

import time

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core import resampling
from medfm_core.geometry import Affine, Grid
from medfm_core.resampling import aligned_axes, interpolate, pick_nearest
from medfm_core.volume import Kind, Volume, resample, resample_to


def diagonal(steps: tuple, origin: tuple = (0, 0, 0)) -> Affine:
    matrix = np.diag([*steps, 1.0]).astype(float)
    matrix[:3, 3] = origin
    return Affine(matrix)


def ramp(grid: Grid) -> np.ndarray:
    """A straight slope in world coordinates, about -1000 to 1000."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    return (grid.affine.to_world(index) @ [3.0, -2.0, 5.0] + 11).astype(np.float32)


def itk_resample(volume: Volume, grid: Grid, fill: float) -> np.ndarray:
    """The plain reference: SimpleITK in patient space."""

    def place(image: SimpleITK.Image, affine: Affine) -> SimpleITK.Image:
        origin, spacing, direction = affine.to_itk()
        image.SetOrigin(origin)
        image.SetSpacing(spacing)
        image.SetDirection(direction)
        return image

    source = place(SimpleITK.GetImageFromArray(volume.voxels.transpose(2, 1, 0).astype(np.float32)), volume.affine)
    target = place(SimpleITK.Image(*[int(n) for n in grid.shape], SimpleITK.sitkFloat32), grid.affine)
    method = SimpleITK.sitkNearestNeighbor if volume.kind is Kind.LABEL else SimpleITK.sitkLinear
    out = SimpleITK.Resample(source, target, SimpleITK.Transform(), method, fill)
    return SimpleITK.GetArrayFromImage(out).transpose(2, 1, 0)


def inside(volume: Volume, grid: Grid, margin: float) -> np.ndarray:
    """Targets that lie at least `margin` source voxels within the outermost source centres."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    at = volume.affine.to_voxel(grid.affine.to_world(index))
    return ((at >= margin) & (at <= np.array(volume.shape) - 1 - margin)).all(axis=-1)


steps = st.tuples(*[st.floats(0.5, 6)] * 3)


@given(steps, st.booleans(), st.sampled_from("CF"), st.permutations([0, 1, 2]))
@settings(max_examples=60, deadline=None)
def test_a_ramp_stays_a_ramp(spacing: tuple, antialias: bool, order: str, turn: list) -> None:
    grid = Grid((19, 23, 17), diagonal((1.5, -1.2, 2.0), (7, -8, 9)))
    volume = Volume(np.array(ramp(grid), order=order).transpose(turn), grid.affine @ np.eye(4)[:, [*turn, 3]])
    coarse = resample(volume, spacing, antialias=antialias)
    margin = max(np.array(spacing) / np.array(volume.spacing)) / 2 + 1 if antialias else 0
    where = inside(volume, coarse.grid, margin)
    np.testing.assert_allclose(coarse.voxels[where], ramp(coarse.grid)[where], atol=2e-3)


@given(st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_a_ramp_stays_a_ramp_on_an_oblique_grid(seed: int) -> None:
    random = np.random.default_rng(seed)
    grid = Grid((14, 15, 16), diagonal((1.5, 1.2, 2.0), (7, -8, 9)))
    volume = Volume(ramp(grid), grid.affine)
    basis, _ = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = basis * random.uniform(0.8, 2.5, 3) + 0.1 * random.normal(size=(3, 3))
    matrix[:3, 3] = grid.affine.to_world(random.uniform(2, 12, 3))
    target = Grid((9, 8, 7), Affine(matrix))
    out = resample_to(volume, target, antialias=False)
    where = inside(volume, target, 0)
    np.testing.assert_allclose(out.voxels[where], ramp(target)[where], atol=2e-2)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("steps", [(0.7, 0.9, 1.1), (1.3, -2.2, 3.0), (5.0, 5.0, 5.0)])
def test_aligned_linear_equals_itk(steps: tuple, order: str) -> None:
    voxels = np.array(np.random.default_rng(1).integers(-1000, 1000, (21, 18, 13)), dtype=np.int16, order=order)
    volume = Volume(voxels, diagonal((-1.1, 1.3, 1.7), (40, 2, 3)))
    target = Grid((30, 25, 20), diagonal((-steps[0], steps[1], steps[2]), (42, 25.5 if steps[1] < 0 else -3, -2)))
    ours = resample_to(volume, target, fill=-77, antialias=False).voxels
    theirs = itk_resample(volume, target, -77)
    edge = np.abs(ours - theirs) > 0.02
    assert (ours != -77).sum() >= 100
    assert edge.mean() < 0.002, "only targets on the very face of the source may differ"


def test_oblique_equals_itk() -> None:
    volume = Volume(np.random.default_rng(2).integers(0, 99, (12, 11, 10)).astype(np.int16), diagonal((1.1, 1.3, 1.7)))
    angle = np.radians(20)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    target = Grid((14, 13, 12), Affine(matrix))
    np.testing.assert_allclose(resample_to(volume, target, fill=-5).voxels, itk_resample(volume, target, -5), atol=1e-3)


def test_averaging_keeps_the_mean() -> None:
    """Shrinking by a whole factor with averaging gives each voxel its share, away from the border."""
    voxels = np.zeros((24, 24, 24), np.int16)
    voxels[13, 13, 13] = 1000
    coarse = resample(Volume(voxels, diagonal((1, 1, 1))), 3.0)
    assert coarse.voxels.sum() * 27 == pytest.approx(1000, rel=1e-4)
    sharp = resample(Volume(voxels, diagonal((1, 1, 1))), 3.0, antialias=False)
    assert coarse.voxels.max() < sharp.voxels.max()


def test_averaging_leaves_mild_changes_alone() -> None:
    volume = Volume(np.random.default_rng(3).normal(size=(20, 20, 20)).astype(np.float32), diagonal((1, 1, 1)))
    same = [resample(volume, 1.4, antialias=flag).voxels for flag in (True, False)]
    np.testing.assert_array_equal(*same)


def test_oblique_averaging_is_close_to_aligned() -> None:
    volume = Volume(np.random.default_rng(4).normal(size=(30, 30, 30)).astype(np.float32), diagonal((1, 1, 1)))
    straight = resample(volume, 3.0)
    angle = np.radians(0.2)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    askew = Grid(straight.shape, Affine(turn @ straight.affine.matrix))
    out = resample_to(volume, askew).voxels
    assert np.abs(out - straight.voxels).mean() < 0.05
    assert out.std() < 0.5


@given(st.integers(0, 99), steps)
@settings(max_examples=40, deadline=None)
def test_labels_keep_their_values(seed: int, spacing: tuple) -> None:
    voxels = np.random.default_rng(seed).choice([0, 3, 104], (9, 11, 8)).astype(np.uint8)
    labels = Volume(voxels, diagonal((1.0, 1.5, 2.0)), Kind.LABEL)
    out = resample(labels, spacing)
    assert out.voxels.dtype == np.uint8
    assert set(np.unique(out.voxels)) <= {0, 3, 104}
    step = labels.affine.inverse() @ out.affine.matrix
    at = [step[axis, axis] * np.arange(n) + step[axis, 3] for axis, n in enumerate(out.shape)]
    clear = np.ix_(*(np.flatnonzero(np.abs(x % 1 - 0.5) > 1e-6) for x in at))  # half-way both neighbours are nearest
    np.testing.assert_array_equal(out.voxels[clear], itk_resample(labels, out.grid, 0)[clear])


def test_labels_pass_through_a_finer_grid_unchanged() -> None:
    voxels = np.random.default_rng(5).integers(0, 118, (10, 11, 12)).astype(np.uint16)
    labels = Volume(voxels, diagonal((-2.0, 2.0, 3.0)), Kind.LABEL)
    fine = resample(labels, np.array(labels.spacing) / 3)
    np.testing.assert_array_equal(resample_to(fine, labels.grid).voxels, voxels)


def test_nearest_by_a_loop_on_an_oblique_grid() -> None:
    voxels = np.random.default_rng(6).integers(1, 9, (6, 7, 8)).astype(np.uint8)
    matrix = np.array([[0.8, 0.2, 0, 0.31], [-0.15, 0.9, 0.1, 1.17], [0, 0.1, 0.7, 0.43], [0, 0, 0, 1]])
    out = pick_nearest(voxels, matrix, (7, 6, 9), fill=0)
    for index in np.ndindex(7, 6, 9):
        at = np.floor(matrix[:3, :3] @ index + matrix[:3, 3] + 0.5).astype(int)
        ok = ((at >= 0) & (at < voxels.shape)).all()
        assert out[index] == (voxels[tuple(at)] if ok else 0)


def test_bool_and_big_endian_sources() -> None:
    mask = np.random.default_rng(7).random((5, 6, 7)) > 0.5
    askew = np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert pick_nearest(mask, askew, (5, 6, 7), fill=0).dtype == bool
    assert interpolate(mask.astype(">f4"), askew, (5, 6, 7), fill=0, antialias=False).dtype == np.float32


def test_what_counts_as_aligned() -> None:
    assert aligned_axes(np.diag([2.0, -1, 3, 1]), (9, 9, 9)) == (0, 1, 2)
    assert aligned_axes(np.eye(4)[[1, 2, 0, 3]], (9, 9, 9)) == (2, 0, 1)
    slight = np.eye(4)
    slight[0, 1] = 1e-6
    assert aligned_axes(slight, (500, 500, 500)) == (0, 1, 2)
    slight[0, 1] = 1e-4
    assert aligned_axes(slight, (500, 500, 500)) is None


def test_single_voxels_and_single_targets() -> None:
    one = Volume(np.full((1, 1, 1), 5, np.int16), diagonal((2, 2, 2)))
    assert resample(one, 0.5).voxels.tolist() == np.full((4, 4, 4), 5.0).tolist()
    assert resample(Volume(np.ones((3, 3, 3), np.int16), diagonal((1, 1, 1))), 50.0).shape == (1, 1, 1)


def test_source_is_not_changed() -> None:
    voxels = np.random.default_rng(8).integers(0, 9, (6, 6, 6)).astype(np.uint8)
    before = voxels.copy()
    shifted = Grid((6, 6, 6), diagonal((1, 1, 1), (2, 0, 0)))
    resample_to(Volume(voxels, diagonal((1, 1, 1)), Kind.LABEL), shifted)
    resample_to(Volume(voxels, diagonal((1, 1, 1))), shifted)
    np.testing.assert_array_equal(voxels, before)


def test_a_chest_ct_takes_less_than_a_second() -> None:
    """512 x 512 x 133 to 3 mm takes 0.1 s; the bound leaves room for a busy machine."""
    voxels = np.zeros((133, 512, 512), np.int16).transpose(2, 1, 0)
    volume = Volume(voxels, diagonal((-0.7, -0.7, 2.5)), modality="CT")
    start = time.process_time()
    assert resample(volume, 3.0).shape == (119, 119, 111)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("columns", [1, 7, 64, 200, 201])
def test_products_in_stacks_equal_one_product(columns, monkeypatch):
    monkeypatch.setattr(resampling, "_PRODUCT", 5 * 9 * 64)
    random = np.random.default_rng(columns)
    weights, source = random.random((5, 9), np.float32), random.random((3, 9, columns), np.float32)
    for view in (source, source.transpose(0, 2, 1).copy().transpose(0, 2, 1), source[:, :, ::-1]):
        out = np.full((3, 5, columns), np.nan, np.float32)
        resampling._multiply(weights, view, out)
        np.testing.assert_allclose(out, weights @ view, rtol=1e-6)
