"""Images of any kind brought to slices."""

import numpy as np
import pytest
import torch
from fake_slices import oval
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.card_inputs import InputSpec, Intensity, Window
from medfm_core.geometry import Affine
from medfm_core.layers.anisotropy import degree_of_anisotropy
from medfm_core.slices import MOST_PIXELS, scaled, slice_axis, slice_spacing, slices_first, to_slices, value_rule
from medfm_core.strict import from_dict, to_dict
from medfm_core.token_tiles import cover
from medfm_core.volume import Volume, reorient, resample_to

PERCENTILES = Intensity("percentiles", percentiles=(0.5, 99.5), to=(0.0, 1.0))
CT_RULE = Intensity("clip_scale", hu=(-1000.0, 1000.0), to=(0.0, 1.0))
SPEC = InputSpec(("CT", "MR"), PERCENTILES, None, (1.0, 1.5, 1.5), "at_least", by_modality={"CT": CT_RULE})


def volume_of(shape, spacing, modality="MR"):
    return Volume(oval(shape, modality), Affine(np.diag([*spacing, 1.0])), modality=modality)


@pytest.mark.parametrize(
    ("shape", "spacing", "axis", "degree"),
    [
        ((20, 20, 8), (0.7, 0.7, 5.0), 2, 2),
        ((8, 20, 20), (5.0, 0.7, 0.7), 0, 2),
        ((20, 8, 20), (1.0, 4.0, 1.0), 1, 2),
        ((10, 10, 10), (1.0, 1.0, 1.0), 2, 0),
        ((10, 10, 30), (2.0, 2.0, 1.0), 2, 0),
        ((30, 1, 20), (1.0, 1.0, 1.0), 1, 5),
        ((10, 10, 10), (1.62, 1.62, 9.0), 2, 2),
    ],
)
def test_slices_come_first(shape, spacing, axis, degree):
    volume = volume_of(shape, spacing)
    assert slice_axis(volume) == axis
    found = slices_first(volume)
    assert degree_of_anisotropy(slice_spacing(found.shape, found.spacing)) == degree
    assert np.array_equal(reorient(found, "RAS").voxels, volume.voxels)


def test_pictures_stand_upright():
    volume = volume_of((12, 10, 4), (1.0, 1.0, 5.0))
    assert slices_first(volume).affine.codes == "SPL"
    assert slices_first(volume_of((12, 4, 10), (1.0, 5.0, 1.0))).affine.codes == "PIL"
    assert slices_first(volume_of((4, 12, 10), (5.0, 1.0, 1.0))).affine.codes == "LIP"


@settings(max_examples=20, deadline=None)
@given(st.permutations("RAS"), st.booleans())
def test_the_stored_axes_do_not_matter(order, turned):
    volume = volume_of((16, 14, 6), (2.0, 2.0, 6.0), "CT")
    codes = "".join({"R": "L", "A": "P", "S": "I"}[code] if turned else code for code in order)
    one, other = to_slices(volume, SPEC), to_slices(reorient(volume, codes), SPEC)
    assert np.array_equal(one.voxels, other.voxels)
    assert one.affine.matches(other.affine)


def test_pixels_become_square_and_no_finer_than_asked():
    found = to_slices(volume_of((80, 60, 10), (0.5, 0.75, 4.0)), SPEC)
    assert found.spacing == pytest.approx((4.0, 1.5, 1.5))
    huge = to_slices(Volume(np.random.default_rng(0).random((700, 1400, 1), np.float32), Affine(np.eye(4))), SPEC)
    assert min(huge.shape[1:]) <= MOST_PIXELS
    assert huge.shape[0] == 1


def test_voxels_keep_their_place():
    volume = volume_of((40, 36, 12), (1.0, 1.0, 4.0), "CT")
    back = resample_to(to_slices(volume, SPEC), volume.grid)
    assert np.corrcoef(back.voxels.ravel(), volume.voxels.ravel())[0, 1] > 0.9


def test_a_turned_single_slice_can_be_read():
    flat = to_slices(Volume(oval((12, 1, 10), "MR"), Affine(np.diag([-2.0, 3.0, 2.0, 1.0])), modality="MR"), SPEC)
    assert scaled(flat, SPEC).shape == (1, *flat.shape)


def test_values_by_modality():
    ct, mr = volume_of((10, 10, 10), (4.0, 4.0, 4.0), "CT"), volume_of((10, 10, 10), (4.0, 4.0, 4.0))
    assert value_rule(ct, SPEC) == CT_RULE
    low, high = np.percentile(mr.voxels, (0.5, 99.5))
    assert value_rule(mr, SPEC).hu == pytest.approx((low, high))
    assert scaled(mr, SPEC).shape == (1, 10, 10, 10)
    assert scaled(mr, SPEC).max() == 1
    with pytest.raises(ValueError, match="as many channels"):
        InputSpec(
            ("CT",), PERCENTILES, by_modality={"CT": Intensity("windows", to=(0, 1), windows=(Window(0, 9),) * 2)}
        )


def test_rules_of_modalities_are_written_only_where_there_are_any():
    plain = InputSpec(("CT",), CT_RULE, spacing_mm=(1.0, 1.0, 1.0))
    assert "by_modality" not in to_dict(plain, defaults=True)
    assert from_dict(InputSpec, to_dict(SPEC, defaults=True), "x") == SPEC


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(1, 4)] * 3), st.tuples(*[st.integers(1, 5)] * 3))
def test_tiles_cover_every_voxel_once(shape, patch, most):
    tiles = cover(shape, patch, most)
    image = torch.arange(shape[0] * shape[1] * shape[2], dtype=torch.float32).reshape(1, *shape) + 1
    padded, seen = tiles.padded(image), torch.zeros(tiles.grid)
    total = torch.zeros_like(padded)
    for place, voxels in tiles.boxes():
        assert all(s.stop - s.start <= limit for s, limit in zip(place, most, strict=True))
        seen[place] += 1
        total[(slice(None), *voxels)] += padded[(slice(None), *voxels)]
    assert torch.equal(total, padded)
    assert (seen == 1).all()
    assert torch.equal(tiles.inside(padded), image)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(1, 30)),
    most=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    margin=st.integers(0, 2),
)
def test_tiles_with_a_margin_keep_what_is_their_own(shape, most, margin):
    tiles = cover(shape, (2, 4, 4), most)
    image = torch.randn(shape)
    padded, back = (
        tiles.padded(image),
        torch.full(tuple(n * p for n, p in zip(tiles.grid, tiles.patch, strict=True)), 7.0),
    )
    tokens = torch.zeros(tiles.grid)
    for place, voxels in tiles.boxes():
        wide, own, inner = tiles.with_margin(place, margin)
        part = padded[wide]
        assert all(n <= (t + 2 * margin) * p for n, t, p in zip(part.shape, tiles.tile, tiles.patch, strict=True))
        back[voxels] = part[inner]
        tokens[place] += torch.ones([n // p for n, p in zip(part.shape, tiles.patch, strict=True)])[own]
    assert torch.equal(tiles.inside(back), image)
    assert (tokens == 1).all()
