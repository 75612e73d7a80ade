"""Colours, planes and pictures of a saliency map."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.report.heat import HeatStyle, draw_heat, heat_range, heat_rgba
from medfm_core.volume import Kind, Volume, reorient

AFFINE = Affine(np.array([[-2.0, 0, 0, 40], [0, -2.0, 0, 30], [0, 0, 4.0, -100], [0, 0, 0, 1]]))
SHAPE = (40, 30, 20)
FOCUS = (30, 8, 5)


def case(codes="LPS"):
    """A scan of soft tissue, a map with one focus within a faint crop, and an organ around it; axes along `codes`."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    distance = (((index - FOCUS) * (2, 2, 4)) ** 2).sum(axis=-1)
    saliency = np.exp(-distance / 72).astype(np.float32) + 0.01
    saliency[:16] = 0
    organ = (distance < 14**2).astype(np.uint8)
    image = Volume(np.full(SHAPE, 40, dtype=np.int16), AFFINE, modality="CT")
    made = image, image.with_voxels(saliency), image.with_voxels(organ, Kind.LABEL)
    return [reorient(volume, codes) for volume in made]


def pixels(view):
    return np.asarray(Image.open(io.BytesIO(view.png)).convert("RGB")).astype(int)


def test_draws_the_planes_through_the_focus():
    views = draw_heat(*case())
    assert [view.plane for view in views] == ["axial", "coronal", "sagittal"]
    assert [view.position for view in views] == ["I 80 mm", "A 14 mm", "L 20 mm"]
    assert [view.marks for view in views] == [tuple("RLAP"), tuple("RLSI"), tuple("APSI")]
    for view in views:
        assert view.png.startswith(b"\x89PNG")
        assert view.plane.capitalize() in view.alt
        assert "outlined" in view.alt


@pytest.mark.parametrize("codes", ["RAS", "SPL", "AIR"])
def test_the_pictures_do_not_depend_on_the_order_of_the_axes(codes):
    assert draw_heat(*case(codes)) == draw_heat(*case())


def test_warm_where_salient_grey_elsewhere_and_the_right_way_round():
    image, saliency, organ = case()
    plain, outlined = draw_heat(image, saliency)[0], draw_heat(image, saliency, organ)[0]
    shown = pixels(plain)
    warm = shown[..., 0] - shown[..., 2] > 30
    assert 0.005 < warm.mean() < 0.25
    assert np.ptp(shown[~warm], axis=-1).min() == 0
    rows, columns = np.nonzero(warm)
    start = 16 - round(15 / 2)  # first column: the map's crop with its margin
    assert columns.mean() == pytest.approx((FOCUS[0] + 0.5 - start) * 4, abs=3)
    assert rows.mean() == pytest.approx((FOCUS[1] + 0.5) * 4, abs=3)
    assert shown.shape[:2] == (30 * 4, (40 - start) * 4)
    line = (pixels(outlined) != shown).any(axis=-1)
    assert 50 < line.sum() < 400
    assert (pixels(outlined)[line] == (92, 214, 255)).all()
    rows, columns = np.nonzero(line)
    assert np.hypot(rows - (FOCUS[1] + 0.5) * 4, columns - (FOCUS[0] + 0.5 - start) * 4).max() < 16 / 0.5


def test_between_two_foci_a_plane_that_holds_one_is_shown():
    image, saliency, _ = case()
    voxels = np.zeros(SHAPE, dtype=np.float32)
    voxels[5, 10, 10], voxels[30, 10, 10], voxels[31, 10, 10] = 1.0, 1.1, 0.1
    sagittal = draw_heat(image, saliency.with_voxels(voxels), style=HeatStyle(quantile=0.0))[2]
    assert sagittal.position == "L 20 mm"


def test_faint_noise_does_not_move_the_planes():
    image, saliency, organ = case()
    noise = 0.05 * np.random.default_rng(0).random(SHAPE, dtype=np.float32) * (saliency.voxels > 0)
    noisy = draw_heat(image, saliency.with_voxels(saliency.voxels + noise), organ)
    assert [view.position for view in noisy] == [view.position for view in draw_heat(image, saliency, organ)]


def test_a_map_without_contrast_is_drawn_without_colour():
    image, saliency, _ = case()
    flat = saliency.with_voxels((saliency.voxels > 0).astype(np.float32))
    assert all(np.ptp(pixels(view), axis=-1).max() == 0 for view in draw_heat(image, flat))


def test_nothing_to_draw_and_nothing_to_trust():
    image, saliency, organ = case()
    assert draw_heat(image, saliency.with_voxels(np.zeros(SHAPE, dtype=np.float32))) == ()
    other = Volume(saliency.voxels, Affine(np.diag([1.0, 1, 1, 1])))
    with pytest.raises(InputError, match="grid"):
        draw_heat(image, other, organ)
    with pytest.raises(InputError, match="negative or infinite"):
        draw_heat(image, saliency.with_voxels(-saliency.voxels))
    with pytest.raises(ValueError, match="quantile"):
        HeatStyle(quantile=1.0)


@given(st.integers(0, 2**31), st.floats(0, 0.95))
@settings(max_examples=20, deadline=None)
def test_colour_begins_at_the_quantile_and_grows_lighter_and_denser(seed, quantile):
    values = np.random.default_rng(seed).exponential(size=(20, 30)).astype(np.float32)
    low, high = heat_range(values, quantile)
    rgba = heat_rgba(values, low, high, 0.6)
    assert rgba.shape == (20, 30, 4)
    assert rgba.dtype == np.uint8
    assert not rgba[values <= low, 3].any()
    assert (values > low).mean() == pytest.approx(1 - quantile, abs=0.01)
    order = np.argsort(values, axis=None)
    lightness = rgba[..., :3].astype(float).reshape(-1, 3)[order] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(rgba[..., 3].ravel()[order].astype(int)) >= 0).all()
    assert (np.diff(lightness) > -1.0).all()
    assert rgba[..., 3].max() == round(0.6 * 255)
