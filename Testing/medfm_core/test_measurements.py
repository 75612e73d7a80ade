"""Measurements against plain per-organ masks, and the states: present, cut, absent, outside, not covered."""

from __future__ import annotations

from types import SimpleNamespace

import fake_organs
import numpy as np
import pytest

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import GeometryError
from medfm_core.field_of_view import find_circle
from medfm_core.geometry import Affine
from medfm_core.label_statistics import label_statistics
from medfm_core.measurements import State, measure
from medfm_core.volume import Kind, Volume, crop, reorient

VOCABULARY = load_vocabulary()


def segmented(image, covered=fake_organs.COVERED):
    card = SimpleNamespace(classes=covered)
    return fake_organs.segment(image, card)


def by_name(image, segmentation):
    return {m.name: m for m in measure(image, segmentation)}


def block(shape=(40, 40, 40), spacing=2.0, codes="LPS", **boxes):
    """An image of 40 HU and a label map with boxes (start, stop) by organ name."""
    matrix = np.diag([-spacing, -spacing, spacing, 1.0])
    image = reorient(Volume(np.full(shape, 40, np.int16), Affine(matrix), modality="CT"), codes)
    labels = np.zeros(shape, np.uint8)
    for name, (start, stop) in boxes.items():
        labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = VOCABULARY.by_name(name).id
    made = reorient(Volume(labels, Affine(matrix), Kind.LABEL), codes)
    return image, SimpleNamespace(labels=made, covered=tuple(boxes))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_statistics_equal_plain_masks(order, dtype, monkeypatch):
    monkeypatch.setattr("medfm_core.label_statistics._SLAB_VOXELS", 500)  # many slabs
    random = np.random.default_rng(0)
    values = random.normal(50, 300, (17, 13, 11)).astype(dtype)
    labels = random.integers(0, 6, values.shape).astype(np.uint8)
    affine = Affine(np.diag([1.0, 2.0, 3.0, 1.0]))
    image = Volume(np.asarray(values, order=order), affine)
    found = label_statistics(image, Volume(np.asarray(labels, order=order), affine, Kind.LABEL))
    for label in range(1, 6):
        mask = labels == label
        inside = values[mask].astype(np.float64)
        mean, deviation, median = found.intensities([label])
        assert found.counts[label] == mask.sum()
        assert mean == pytest.approx(inside.mean())
        assert deviation == pytest.approx(inside.std())
        assert abs(median - np.median(inside)) <= 2.0
        assert found.centre(label) == pytest.approx(np.argwhere(mask).mean(axis=0))
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            assert np.array_equal(found.profiles[axis][label], mask.sum(axis=others))
    assert found.counts[0] == 0
    assert found.box(9) is None
    assert found.centre(9) is None
    assert found.intensities([9]) is None


@pytest.mark.parametrize("extreme", [-2048, 4095, -3000, 30000])
def test_whole_numbers_give_the_sums_of_fractions(extreme):
    """Within the histogram they follow from it, beyond it they are added up."""
    random = np.random.default_rng(1)
    values = random.integers(-1024, 2000, (9, 8, 7)).astype(np.int16)
    values[0, 0, 0] = extreme
    affine = Affine(np.eye(4))
    labels = Volume(random.integers(0, 200, values.shape).astype(np.uint8), affine, Kind.LABEL)
    labels.voxels[0, 0, 0] = 7
    whole, fractions = (label_statistics(Volume(v, affine), labels) for v in (values, values.astype(np.float32)))
    for name in ("counts", "valued", "sums", "squares", "histogram"):
        assert np.array_equal(getattr(whole, name), getattr(fractions, name)), name
    inside = values[labels.voxels == 7].astype(np.float64)
    assert whole.sums[7] == inside.sum()
    assert whole.squares[7] == (inside**2).sum()


def test_voxels_without_a_number_do_not_count_for_the_mean():
    values = np.full((4, 4, 4), 10, np.float32)
    values[0] = np.nan
    affine = Affine(np.eye(4))
    found = label_statistics(Volume(values, affine), Volume(np.ones((4, 4, 4), np.uint8), affine, Kind.LABEL))
    assert found.counts[1] == 64
    assert found.valued[1] == 48
    assert found.intensities([1]) == (10.0, 0.0, 10.0)


def test_other_grids_are_refused():
    image, segmentation = block(liver=((5, 5, 5), (9, 9, 9)))
    with pytest.raises(GeometryError, match="grid"):
        measure(crop(image, (0, 0, 0), (40, 40, 39)), segmentation)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "SRP", "AIL"])
def test_numbers_do_not_depend_on_the_orientation_of_the_array(codes):
    image = fake_organs.make_ct(codes)
    found = by_name(image, segmented(image))
    plain = by_name(fake_organs.make_ct(), segmented(fake_organs.make_ct()))
    for name, organ in found.items():
        other = plain[name]
        assert (organ.state, organ.reason, organ.voxels) == (other.state, other.reason, other.voxels)
        if organ.is_seen:
            assert organ.extent_mm == pytest.approx(other.extent_mm)
            assert organ.centre_mm == pytest.approx(other.centre_mm)
    hu, centre, half = fake_organs.ORGANS["spleen"]
    spleen = found["spleen"]
    assert spleen.mean_hu == spleen.median_hu == hu
    assert spleen.centre_mm == pytest.approx(centre, abs=3)
    assert spleen.extent_mm == pytest.approx([2 * h for h in half], abs=10)
    assert spleen.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(half) / 1000, rel=0.05)


def test_states_of_the_made_up_patient():
    image = fake_organs.make_ct()
    found = by_name(image, segmented(image))
    assert found["liver"].state is State.PRESENT
    assert found["vertebrae"].state is State.CUT
    assert found["vertebrae"].faces == ("top of the scan", "bottom of the scan")
    assert "top of the scan and the bottom of the scan" in found["vertebrae"].reason
    assert found["urinary_bladder"].state is State.OUTSIDE
    assert "below" in found["urinary_bladder"].reason
    assert found["gallbladder"].state is State.ABSENT
    assert "although its usual region is in the scan" in found["gallbladder"].reason
    assert found["gallbladder"].volume_ml is None
    assert found["brain"].state is State.NOT_COVERED
    assert found["vertebrae_L1"].state is State.NOT_COVERED
    assert "Vertebrae" in found["vertebrae_L1"].reason


def test_an_upper_scan_does_not_show_what_lies_below():
    image = crop(fake_organs.make_ct(), (0, 0, 50), (72, 54, 76))  # above S 130 mm
    found = by_name(image, segmented(image))
    assert {found[n].state for n in ("kidney_left", "spleen", "liver", "gallbladder")} == {State.OUTSIDE}
    assert found["heart"].state is State.CUT


def test_composites_pool_their_parts():
    image = fake_organs.make_ct()
    found = by_name(image, segmented(image))
    left, right, both = (found[n] for n in ("kidney_left", "kidney_right", "kidneys"))
    assert both.parts == VOCABULARY.by_name("kidneys").parts
    assert both.voxels == left.voxels + right.voxels
    assert both.mean_hu == pytest.approx((left.mean_hu * left.voxels + right.mean_hu * right.voxels) / both.voxels)
    assert both.state is State.PRESENT
    assert "lungs" not in found  # not all lobes are covered


def test_a_composite_names_the_part_that_is_missing():
    image, segmentation = block(kidney_left=((5, 5, 5), (15, 15, 15)))
    segmentation.covered = ("kidney_left", "kidney_right")
    kidneys = by_name(image, segmentation)["kidneys"]
    assert kidneys.state is State.PRESENT
    assert kidneys.reason == "Without: Right kidney."
    segmentation.labels.voxels[:] = 0
    assert by_name(image, segmentation)["kidneys"].state is State.ABSENT


@pytest.mark.parametrize("codes", ["LPS", "RAS", "IPR"])
@pytest.mark.parametrize(
    ("start", "stop", "face"),
    [
        ((0, 9, 9), (9, 20, 20), "right side"),
        ((30, 9, 9), (40, 20, 20), "left side"),
        ((9, 0, 9), (20, 9, 20), "front"),
        ((9, 30, 9), (20, 40, 20), "back"),
        ((9, 9, 0), (20, 20, 9), "bottom"),
        ((9, 9, 30), (20, 20, 40), "top"),
    ],
)
def test_every_face_has_its_name(codes, start, stop, face):
    image, segmentation = block(codes=codes, liver=(start, stop))
    liver = by_name(image, segmentation)["liver"]
    assert liver.state is State.CUT
    assert liver.faces == (f"{face} of the scan",)


def test_specks_are_not_organs_and_do_not_cut():
    image, segmentation = block(
        liver=((5, 5, 5), (7, 7, 6)), spleen=((0, 5, 5), (1, 6, 7)), stomach=((0, 20, 20), (9, 21, 21))
    )
    found = by_name(image, segmentation)
    assert found["liver"].state is State.ABSENT
    assert "Only 4 voxels (0.032 mL) marked" in found["liver"].reason
    assert found["spleen"].state is State.ABSENT
    assert found["stomach"].state is State.PRESENT  # 4 mm2 on the border are below the threshold


def test_what_leaves_every_ct_of_the_trunk_runs_on():
    image, segmentation = block(spinal_cord=((18, 18, 10), (22, 22, 40)), liver=((2, 2, 20), (15, 30, 40)))
    found = by_name(image, segmentation)
    cord, liver = found["spinal_cord"], found["liver"]
    assert (cord.state, cord.faces, cord.runs_on) == (State.CUT, ("top of the scan",), True)
    assert cord.reason.startswith("Runs on beyond the top of the scan, as in any CT of the trunk:")
    assert (liver.state, liver.runs_on) == (State.CUT, False)
    segmentation.labels.voxels[18:22, 18:22] = VOCABULARY.by_name(
        "spinal_cord"
    ).id  # a scan that ends above its lower end
    cord = by_name(image, segmentation)["spinal_cord"]
    assert (cord.runs_on, cord.reason.startswith("Cut by the top of the scan and the bottom")) == (False, True)


def ball(shape, centre, radius):
    return sum((a - c) ** 2 for a, c in zip(np.indices(shape), centre, strict=True)) < radius**2


@pytest.mark.parametrize(("lacking_mm", "state"), [(1, State.PRESENT), (4, State.CUT), (30, State.CUT)])
def test_a_rounded_organ_is_cut_once_it_lacks_a_share_of_its_volume(lacking_mm, state):
    """A ball of 60 mm: a cap of 1 mm is 0.1 % of it, one of 4 mm 1.3 %."""
    image, segmentation = block((40, 40, 40), 2.0)
    segmentation.covered = ("liver",)
    centre = 15 - 0.5 - lacking_mm / 2
    segmentation.labels.voxels[ball((40, 40, 40), (20, 20, centre), 15)] = VOCABULARY.by_name("liver").id
    assert segmentation.labels.voxels[:, :, 0].any()
    assert by_name(image, segmentation)["liver"].state is state


def test_a_tube_that_runs_on_is_cut_however_wide_it_is_elsewhere():
    image, segmentation = block(aorta=((18, 18, 0), (22, 22, 30)), spleen=((1, 1, 2), (9, 9, 6)))
    segmentation.labels.voxels[8:32, 10:30, 30:36] = VOCABULARY.by_name("aorta").id  # as wide as an arch
    found = by_name(image, segmentation)
    assert found["aorta"].faces == ("bottom of the scan",)
    assert found["spleen"].state is State.PRESENT


def test_a_stray_piece_on_a_border_does_not_cut_an_organ():
    image, segmentation = block(adrenal_gland_left=((10, 10, 10), (13, 13, 30)))
    stray = (slice(10, 13), slice(10, 13), slice(0, 1))
    segmentation.labels.voxels[stray] = VOCABULARY.by_name("adrenal_gland_left").id
    found = by_name(image, segmentation)["adrenal_gland_left"]
    assert (found.state, found.reason) == (State.PRESENT, "")
    segmentation.labels.voxels[10:13, 10:13, 0:12] = VOCABULARY.by_name("adrenal_gland_left").id  # now it reaches there
    assert by_name(image, segmentation)["adrenal_gland_left"].faces == ("bottom of the scan",)


def test_without_any_organ_nothing_is_claimed_about_the_region():
    image, segmentation = block()
    segmentation.covered = ("liver", "spleen")
    found = by_name(image, segmentation)
    assert found["liver"].state is State.ABSENT
    assert "too little else was found" in found["liver"].reason


@pytest.mark.parametrize("padding", [-2000, -1024])
def test_the_reconstructed_circle_cuts_organs(padding):
    size = 80
    image, segmentation = block((size, size, 12), liver=((10, 30, 3), (30, 50, 9)), spleen=((40, 30, 3), (50, 50, 9)))
    radius = np.hypot(*np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij"))
    image.voxels[radius > 27] = padding
    circle = find_circle(image)
    assert circle.padding == padding
    assert circle.axis == 2
    assert np.abs(circle.distance - (radius - 27)).max() < 1.5
    found = by_name(image, segmentation)
    assert found["liver"].faces == ("circular field of view",)
    assert found["spleen"].state is State.PRESENT


def test_clipped_air_around_a_patient_is_no_circle():
    image = fake_organs.make_ct()
    assert find_circle(image) is None
    clipped = image.voxels.copy()
    clipped[clipped < -900] = -1024
    assert find_circle(image.with_voxels(clipped)) is None


def test_real_labels_give_plausible_organs(real_data):
    import json

    import nibabel

    read = [nibabel.load(real_data / "ct" / f"abdopelvis_TSexample{end}.nii.gz") for end in ("", "_organs")]
    image, labels = (np.asarray(file.dataobj) for file in read)
    names = json.loads((real_data / "ct" / "abdopelvis_TSexample_organs.json").read_text())["labels"].values()
    affine = Affine(read[0].affine)
    made = SimpleNamespace(labels=Volume(labels, affine, Kind.LABEL), covered=tuple(names))
    found = by_name(Volume(image, affine, modality="CT"), made)
    assert found["urinary_bladder"].volume_ml == pytest.approx(479.4, abs=0.1)
    assert found["heart"].state is State.OUTSIDE
    assert found["liver"].faces == ("top of the scan",)
    assert found["femur_left"].faces == ("bottom of the scan",)
    assert found["vertebrae_L3"].state is State.PRESENT
    assert found["brain"].reason == "Its usual place is above the scanned region."
