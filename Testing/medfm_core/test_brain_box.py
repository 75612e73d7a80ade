"""A scan that is stretched to a box: torch's and MONAI's values, its place in the patient, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from brain_toys import toy_brain
from torch.nn import functional

from medfm_core.brain_box import linear_resized, stretched_brain, to_brain_box
from medfm_core.brain_encoding import EncodedBrain
from medfm_core.brain_grid import to_brain_grid
from medfm_core.brain_maps import tissue_patches
from medfm_core.card_inputs import InputSpec, Intensity
from medfm_core.card_library import load_card
from medfm_core.errors import InputError
from medfm_core.volume import Volume, reorient, resample_to

SPEC = replace(load_card("brainiac.v1").input, size=(40, 48, 44))


@pytest.fixture(scope="module")
def brain():
    return toy_brain(shape=(30, 66, 56))  # the first axis grows, the others shrink


@pytest.mark.parametrize("size", [(40, 48, 44), (30, 7, 56), (1, 200, 3)])
def test_every_axis_is_picked_as_torch_does(brain, size):
    wanted = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(brain.voxels))[None, None], size, mode="trilinear", align_corners=False
    )[0, 0]
    found = linear_resized(brain, size).voxels
    assert np.abs(found - wanted.numpy()).max() < 5e-6 * np.abs(brain.voxels).max()


def test_the_chain_is_monais(brain):
    """On the array as NIfTI stores it with axes to Right, Anterior and Superior, which are D, H and W."""
    transforms = pytest.importorskip("monai.transforms")
    given = np.ascontiguousarray(reorient(brain, "RAS").voxels)[None]
    resized = transforms.Resize(SPEC.size, mode="trilinear")(given)
    wanted = transforms.NormalizeIntensity(nonzero=True, channel_wise=True)(resized)[0].numpy()
    found = stretched_brain(brain, SPEC).voxels
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4
    assert (found == 0).mean() > 0.3


def test_the_orientation_of_the_file_does_not_matter(brain):
    one, other = stretched_brain(brain, SPEC), stretched_brain(reorient(brain, "PSL"), SPEC)
    assert np.allclose(one.voxels, other.voxels, atol=1e-5)
    assert np.allclose(one.affine.matrix, other.affine.matrix)


def test_voxels_stay_where_they_are_in_the_patient(brain):
    box = stretched_brain(brain, SPEC)
    back = resample_to(box, brain.grid, fill=0.0, antialias=False).voxels
    middle = brain.voxels > 0
    assert np.corrcoef(back[middle], brain.voxels[middle])[0, 1] > 0.9
    step = box.affine.matrix[:3, :3]
    assert (np.diag(step) > 0).all()
    assert np.allclose(np.abs(step).sum(axis=0) * np.array(box.shape), np.array(brain.spacing) * brain.shape)


def test_the_card_decides_the_chain(brain):
    assert np.array_equal(to_brain_box(brain, SPEC).voxels, stretched_brain(brain, SPEC).voxels)
    other = load_card("neuro-jepa.v1").input
    made = to_brain_box(brain, other, crop_size=(96, 108, 96))
    assert np.array_equal(made.voxels, to_brain_grid(brain, other, crop_size=(96, 108, 96)).voxels)


def test_the_background_of_a_centred_box_is_no_brain(brain):
    box = stretched_brain(brain, SPEC)
    encoded = EncodedBrain(np.zeros((1320, 1), np.float32), box, (10, 12, 11), is_centred=True)
    share = (box.voxels != 0).mean()
    assert share < tissue_patches(encoded).mean() < share + 0.2


def test_what_cannot_be_stretched(brain):
    with pytest.raises(InputError, match="nothing in the image is other than 0"):
        stretched_brain(Volume(np.zeros((8, 8, 8), np.float32), brain.affine), SPEC)
    with pytest.raises(InputError, match="no size, orientation or zscore"):
        stretched_brain(brain, replace(SPEC, intensity=Intensity("none")))
    with pytest.raises(ValueError, match="size and native spacing"):
        InputSpec(("MR",), Intensity("zscore"), spacing_mm=(1, 1, 1), size=(4, 4, 4), resampling="face_to_face")
    flat = brain.with_voxels((brain.voxels > 0).astype(np.float32))
    assert np.isfinite(stretched_brain(flat, SPEC).voxels).all()
