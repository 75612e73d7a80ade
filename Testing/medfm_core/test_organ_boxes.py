"""Boxes of organs: tight where they must be, wide enough where they may be, and never outside the scan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfm_core.card_inputs import OrganCrop
from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.organ_boxes import find_boxes, label_ids
from medfm_core.volume import Kind, Volume

LIVER, VERTEBRA_L1, VERTEBRA_L2 = 5, 31, 30


def label_map(shape=(40, 40, 30), step=(1.0, 1.0, 3.0)):
    return Volume(np.zeros(shape, np.uint8), Affine(np.diag([*step, 1.0])), Kind.LABEL)


def with_box(volume, number, start, stop):
    voxels = volume.voxels.copy()
    voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = number
    return volume.with_voxels(voxels)


@st.composite
def organ_places(draw):
    shape = tuple(draw(st.integers(4, 60)) for _ in range(3))
    start = tuple(draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    shortest = draw(st.integers(1, 50))
    return shape, start, stop, OrganCrop(shortest=shortest, longest=draw(st.integers(shortest, 70)))


@settings(deadline=None)
@given(organ_places())
def test_every_side_follows_the_rule(place):
    shape, start, stop, crop = place
    box = find_boxes(with_box(label_map(shape), LIVER, start, stop), crop)[0]
    assert (box.tight_start, box.tight_stop, box.unit) == (start, stop, "liver")
    assert (box.start[2], box.stop[2]) == (start[2], stop[2])
    for axis in (0, 1):
        length, organ, cut = shape[axis], stop[axis] - start[axis], box.stop[axis] - box.start[axis]
        assert 0 <= box.start[axis] < box.stop[axis] <= length
        if length <= crop.shortest:
            assert cut == length
        else:
            assert cut == min(max(organ, crop.shortest), crop.longest)
        if organ <= cut:  # nothing of the organ is lost unless it is longer than the longest
            assert box.start[axis] <= start[axis]
            assert box.stop[axis] >= stop[axis]


def test_a_box_grows_evenly_and_shifts_at_the_border():
    crop = OrganCrop(shortest=20, longest=30)
    middle = find_boxes(with_box(label_map(), LIVER, (16, 0, 5), (24, 4, 9)), crop)[0]
    assert (middle.start, middle.stop) == ((10, 0, 5), (30, 20, 9))
    long = find_boxes(with_box(label_map(), LIVER, (2, 3, 5), (38, 37, 9)), crop)[0]
    assert (long.start, long.stop) == ((5, 5, 5), (35, 35, 9))


def test_parts_of_a_unit_share_one_box_and_composites_answer_for_it():
    crop = OrganCrop({"spine": ("vertebrae",)}, 4, 60)
    parts = with_box(
        with_box(label_map(), VERTEBRA_L1, (10, 10, 12), (14, 14, 15)), VERTEBRA_L2, (12, 9, 9), (16, 14, 12)
    )
    box = find_boxes(parts, crop)[0]
    assert (box.tight_start, box.tight_stop) == ((10, 9, 9), (16, 14, 15))
    whole = label_map().with_voxels(np.where(parts.voxels > 0, label_ids(["vertebrae"])[-1], 0).astype(np.uint8))
    again = find_boxes(whole, crop)[0]
    assert (again.tight_start, again.tight_stop) == (box.tight_start, box.tight_stop)


def test_long_units_are_cut_into_sections_each_with_its_own_box():
    labels = with_box(with_box(label_map(), 52, (10, 10, 0), (14, 14, 10)), 52, (20, 20, 10), (24, 24, 30))
    sections = find_boxes(labels, OrganCrop({"aorta": ("aorta",)}, 6, 60, {"aorta": 45.0}))
    assert [box.section for box in sections] == [0, 1]  # 90 mm in sections of at most 45
    assert [(box.tight_start, box.tight_stop) for box in sections] == [
        ((10, 10, 0), (24, 24, 15)), ((20, 20, 15), (24, 24, 30)),
    ]  # fmt: skip


def test_absent_units_are_missing_and_unknown_ones_refused():
    crop = OrganCrop({"liver": ("liver",), "spleen": ("spleen",)}, 4, 60)
    labels = with_box(label_map(), LIVER, (1, 1, 1), (3, 3, 3))
    assert [box.unit for box in find_boxes(labels, crop)] == ["liver"]
    assert find_boxes(label_map(), crop) == []
    with pytest.raises(InputError, match="liver"):
        find_boxes(labels, crop, ["livr"])
