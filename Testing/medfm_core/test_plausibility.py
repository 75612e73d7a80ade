"""Doubts about input and result: each is raised where it should be and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import fake_organs
import numpy as np
import pytest

from medfm_core.geometry import Affine
from medfm_core.measurements import measure
from medfm_core.plausibility import check_image, check_result
from medfm_core.volume import Volume, crop


@pytest.fixture(scope="module")
def ct():
    return fake_organs.make_ct()


def codes(cautions):
    return [caution.code for caution in cautions]


def result_codes(volume, turn):
    """Measure the made-up patient, then say that its voxels lie elsewhere: `turn` is applied to the world."""
    segmentation = fake_organs.segment(volume, SimpleNamespace(classes=fake_organs.COVERED))
    affine = Affine(np.diag([*turn, 1.0]) @ volume.affine.matrix)
    labels = replace(segmentation.labels, affine=affine)
    return codes(check_result(measure(replace(volume, affine=affine), replace(segmentation, labels=labels))))


def test_an_ordinary_ct_raises_no_doubt(ct):
    assert check_image(ct) == ()
    assert check_image(replace(ct, modality=None)) == ()
    assert result_codes(ct, (1, 1, 1)) == []


@pytest.mark.parametrize("offset", [-1024, -1000, 1000, 1024])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_an_offset_is_named(ct, offset, dtype):
    caution = check_image(ct.with_voxels(ct.voxels.astype(dtype) - offset))[0]
    assert caution.code == "hu_offset"
    assert caution.blocks
    assert abs(caution.hu_offset - offset) <= 24
    assert "--hu-offset" in caution.fix


def test_an_offset_is_told_to_the_unit_where_air_is_not_clipped(ct):
    for offset in (-1024, 1024):
        assert check_image(ct.with_voxels(ct.voxels.astype(np.int32) - offset))[0].hu_offset == offset


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v: np.clip((v + 1000) / 2000, 0, 1).astype(np.float32), "not_hu"),
        (lambda v: (np.clip((v + 160) / 400, 0, 1) * 255).astype(np.uint8), "not_ct"),
        (lambda v: (np.abs(v) % 400).astype(np.int16), "not_ct"),
        (lambda v: np.where(v > -200, v + 300, v).astype(np.int16), "not_ct"),
        (lambda v: np.zeros_like(v), "constant"),
        (lambda v: np.full(v.shape, np.nan, np.float32), "empty"),
    ],
)
def test_what_is_no_ct_blocks(ct, change, code):
    cautions = check_image(ct.with_voxels(change(ct.voxels)))
    assert cautions[0].code == code
    assert cautions[0].blocks
    assert cautions[0].fix


def test_another_modality_blocks(ct):
    assert codes(check_image(replace(ct, modality="MR")))[0] == "wrong_modality"


def test_a_crop_inside_the_body_is_accepted_with_a_word(ct):
    box = crop(ct, (28, 6, 2), (48, 36, 22))
    voxels = box.voxels.copy()
    voxels[:, :4] = -100
    found = check_image(box.with_voxels(voxels))
    assert "no_air" in codes(found)
    assert not any(caution.blocks for caution in found)


def test_geometry(ct):
    def scaled(*factors):
        return replace(ct, affine=Affine(ct.affine.matrix @ np.diag([*factors, 1.0])))

    assert codes(check_image(replace(ct, affine=Affine(np.diag([-5, -5, 1.2, 1.0]))))) == ["short_scan"]
    assert codes(check_image(scaled(1, 1, 1.2))) == ["thick_slices"]
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert codes(check_image(replace(ct, affine=Affine(turn @ ct.affine.matrix)))) == ["oblique"]


def test_blank_slices_are_counted(ct):
    voxels = ct.voxels.copy()
    voxels[:, :, -3:] = -1000
    cautions = check_image(ct.with_voxels(voxels))
    assert codes(cautions) == ["blank_slices"]
    assert "3 of 76" in cautions[0].sentence


def test_a_body_that_reaches_the_sides_is_truncated(ct):
    assert codes(check_image(crop(ct, (15, 0, 0), (57, 54, 76)))) == ["truncated_body"]


def test_a_body_that_reaches_the_circle_is_truncated(ct):
    voxels = ct.voxels.copy()
    i, j = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) for n in ct.shape[:2]], indexing="ij")
    voxels[np.hypot(i, j) > 24] = -1024
    assert "truncated_body" in codes(check_image(ct.with_voxels(voxels)))


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ((-1, 1, 1), ["left_right"]),
        ((1, -1, 1), ["front_back"]),
        ((1, 1, -1), ["head_foot"]),
        ((-1, -1, 1), ["left_right", "front_back"]),
    ],
)
def test_swapped_axes_are_noticed(ct, turn, expected):
    found = result_codes(ct, turn)
    assert [code for code in found if code != "unusual_size"] == expected


def test_nothing_found_is_said(ct):
    segmentation = fake_organs.segment(ct, SimpleNamespace(classes=fake_organs.COVERED))
    empty = replace(segmentation, labels=segmentation.labels.with_voxels(np.zeros_like(segmentation.labels.voxels)))
    assert codes(check_result(measure(ct, empty))) == ["nothing_found"]


def test_a_dwarf_organ_is_worth_a_look_unless_it_is_cut(ct):
    segmentation = fake_organs.segment(ct, SimpleNamespace(classes=fake_organs.COVERED))
    voxels = segmentation.labels.voxels.copy()
    up = np.flatnonzero((voxels == 5).any(axis=(0, 1)))
    voxels[:, :, up[3] :][voxels[:, :, up[3] :] == 5] = 0
    found = check_result(measure(ct, replace(segmentation, labels=segmentation.labels.with_voxels(voxels))))
    assert codes(found) == ["unusual_size"]
    assert "Liver" in found[0].sentence


def test_every_sentence_is_a_sentence(ct):
    voxels = ct.voxels.astype(np.float32)
    voxels[:, :, -3:] = -1000
    for volume in (ct.with_voxels(voxels), ct.with_voxels(voxels / 2000), crop(ct, (15, 0, 0), (57, 54, 12))):
        for caution in check_image(volume):
            assert caution.sentence[0].isupper()
            assert "\n" not in caution.sentence
            assert caution.blocks != caution.sentence.endswith(".")


@pytest.mark.parametrize("case", ["abdopelvis_TSexample", "chest_CPTAC-C3N-00249", "chest_4DLung113", "liver_CRLM1004"])
def test_real_cts_are_accepted(real_data, case):
    import nibabel

    file = nibabel.load(real_data / "ct" / f"{case}.nii.gz")
    cautions = check_image(Volume(np.asarray(file.dataobj), Affine(file.affine)))
    assert not any(caution.blocks for caution in cautions)


@pytest.mark.parametrize("case", ["gliomaDU7294_T1", "ms07_T2", "stroke_FLAIR", "ms19_FLAIR"])
def test_real_mr_is_refused(real_data, case):
    import nibabel

    file = nibabel.load(real_data / "mr" / f"{case}.nii.gz")
    voxels = np.asarray(file.dataobj)
    cautions = check_image(Volume(voxels.reshape(voxels.shape[:3]), Affine(file.affine)))
    assert cautions[0].blocks
    assert cautions[0].code in ("not_ct", "not_hu")
