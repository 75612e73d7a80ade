"""Patches are pure functions of their key, labels follow the image, and what is not seen is not learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.data.contrast import ContrastRandomisation, redraw_contrast
from training.data.labelled_case import IGNORE, load_case, make_case, save_case
from training.data.segmentation_augmentation import SegmentationAugmentation, sample_patch

STILL = SegmentationAugmentation(
    rotation_deg=(0, 0, 0), scale=(1, 1), scale_axis=0, shear=0, elastic_mm=0, slab_probability=0, circle_probability=0,
    noise_hu=(0, 0), blur_probability=0, thick_probability=0,
    contrast=ContrastRandomisation(phase_probability=0, random_probability=0, stretch=(1, 1)),
)  # fmt: skip


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    classes = np.zeros((40, 36, 44), np.uint8)
    classes[8:30, 8:28, 6:20] = 1
    classes[10:34, 10:26, 24:40] = 2
    hu = np.array([-100, 60, 200])[classes] + rng.normal(0, 5, classes.shape)
    return make_case("boxes", hu, classes, 3, (3, 3, 3))


def test_a_patch_is_a_function_of_its_key(case):
    plan = SegmentationAugmentation(contrast=ContrastRandomisation(names=("liver", "spleen")))
    first, second = (sample_patch(case, (16, 24, 24), 3.0, plan, (5, 7, 0)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    other = sample_patch(case, (16, 24, 24), 3.0, plan, (5, 8, 0))
    assert not torch.equal(first[0], other[0])


def test_labels_stay_on_their_tissue_under_any_deformation(case):
    plan = replace(
        SegmentationAugmentation(), contrast=STILL.contrast, noise_hu=(0, 0), blur_probability=0, thick_probability=0
    )
    for key in range(12):
        hu, classes = sample_patch(case, (32, 32, 32), 3.0, plan, (key,))
        for label, low, high in ((1, -20, 130), (2, 60, 290)):
            if (classes == label).sum() > 500:
                assert low < hu[classes == label].median() < high


def test_nothing_outside_the_scan_is_learnt(case):
    hu, classes = sample_patch(case, (64, 64, 64), 3.0, STILL, (3,))
    outside = classes == IGNORE
    assert outside.float().mean() > 0.5
    assert (hu[outside] == -1024).all()
    assert (classes[~outside] < 3).all()


def test_a_slab_leaves_a_band_of_the_scan(case):
    plan = replace(STILL, slab_probability=1.0, slab_mm=(24.0, 24.0))
    for key in range(6):
        _, classes = sample_patch(case, (48, 36, 44), 3.0, plan, (key,))
        rows = (classes != IGNORE).flatten(1).any(1)
        assert 1 <= rows.sum() <= 8


def test_redrawn_contrast_moves_organs_and_spares_gas_and_fat():
    hu = torch.full((6, 6, 6), 60.0)
    hu[:, :, 4:] = -900.0
    classes = torch.ones(6, 6, 6, dtype=torch.int64)
    shifts, means, stretch = torch.tensor([0.0, 100.0]), torch.tensor([0.0, 60.0]), torch.ones(2)
    moved = redraw_contrast(hu, classes, means, shifts, stretch)
    assert moved[2:4, 2:4, 1].mean() > 150
    assert (moved[2:4, 2:4, 5] + 900).abs().max() < 1


def test_cases_survive_the_disk(case, tmp_path):
    save_case(case, tmp_path / "case.npz")
    back = load_case(tmp_path / "case.npz")
    assert (back.hu == case.hu).all()
    assert (back.classes == case.classes).all()
    assert back.spacing_mm == case.spacing_mm
    np.testing.assert_allclose(back.means_hu, [-100, 60, 200], atol=1)
