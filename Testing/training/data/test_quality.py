import numpy as np
import pytest
from fake_cohort import MM, body

from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume
from training.data.quality import image_doubts, prepared_doubts

HU, LABELS = body()


def volume(voxels=HU, mm=MM, modality=None):
    return Volume(voxels, Affine(np.diag([mm, mm, mm, 1.0])), modality=modality)


def blocking(image, modality="CT"):
    return {caution.code for caution in image_doubts(image, modality) if caution.blocks}


def test_sound_images_pass():
    assert not blocking(volume())
    assert not blocking(volume(np.clip(HU, -200, None).astype(np.float32) + 200), "MR")


@pytest.mark.parametrize(
    ("image", "modality", "code"),
    [
        (volume(HU + 1024), "CT", "hu_offset"),
        (volume((HU / 2000).astype(np.float32)), "CT", "not_hu"),
        (volume(np.clip(HU, 0, None)), "CT", "not_ct"),
        (volume(modality="MR"), "CT", "wrong_modality"),
        (volume(), "MR", "looks_like_ct"),
        (volume(mm=0.4), "CT", "tiny"),
        (volume(np.where(np.indices(HU.shape).sum(0) < 6, 900, 0)), "MR", "constant"),
    ],
)
def test_implausible_images_are_refused(image, modality, code):
    assert code in blocking(image, modality)


def test_mostly_padding():
    voxels = np.full((60, 60, 60), -1024, np.int16)
    voxels[20:40, 20:40, 20:40] = HU[10:30, 10:30, 10:30]
    assert "padding" in blocking(volume(voxels))


def test_what_only_makes_one_doubt():
    codes = {c.code for c in image_doubts(volume(mm=13.0), "CT") if not c.blocks}
    assert "spacing" in codes
    spike = np.full((30, 30, 30), 50.0, np.float32) + np.random.default_rng(0).normal(0, 1, (30, 30, 30))
    spike[0, 0, 0] = 1e6
    assert "nearly_constant" in {c.code for c in image_doubts(volume(spike), "MR")}


def test_labels_beside_the_image_are_refused_and_empty_ones_said():
    image = volume()
    full, none = (Volume(labels, image.affine, Kind.LABEL) for labels in (LABELS, np.zeros_like(LABELS)))
    assert [c.code for c in prepared_doubts(image, none, full) if c.blocks] == ["labels_outside"]
    assert [c.code for c in prepared_doubts(image, none, none)] == ["labels_empty"]
    assert not prepared_doubts(image, full, full)
    assert prepared_doubts(volume(HU[:5]), None, None)[0].code == "tiny"
