"""Doubts about brain MRI: on made-up heads, and on real ones where there are some."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.brain_doubts import brain_doubts, brain_placement
from medfm_core.geometry import Affine
from medfm_core.io import read_volume
from medfm_core.volume import Volume, reorient


def head(semi, middle=(0, -17, 4), step=4.0, noise=0.0):
    """A bright ellipsoid with a hole in it; RAS."""
    shape = (64, 72, 64)
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = -np.array(shape) * step / 2
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * step + matrix[:3, 3]
    radius = np.sqrt((((places - middle) / semi) ** 2).sum(-1))
    voxels = np.where((radius < 1) & (radius > 0.2), 500.0, 0.0)
    voxels += noise * np.abs(np.random.default_rng(0).standard_normal(shape))
    return Volume(voxels.astype(np.float32), Affine(matrix), modality="MR")


def test_a_stripped_brain_in_its_place_raises_no_doubt():
    brain = head((70, 88, 75))
    assert brain_doubts(brain) == ()
    assert brain_doubts(reorient(brain, "LPI")) == ()
    found = brain_placement(brain)
    assert found.tissue_ml == pytest.approx(4 / 3 * np.pi * 70 * 88 * 75 / 1000, rel=0.05)  # the hole counts


def test_a_whole_head_is_told_from_a_brain():
    (sentence,) = brain_doubts(head((88, 112, 120), noise=4.0))
    assert "skull and scalp" in sentence


@pytest.mark.parametrize("brain", [head((70, 88, 75), (40, -17, 4)), head((45, 60, 50))])
def test_a_brain_elsewhere_or_of_another_size_is_not_in_mni(brain):
    (sentence,) = brain_doubts(brain)
    assert "MNI" in sentence


def test_an_empty_image():
    assert "brighter" in brain_doubts(Volume(np.zeros((9, 9, 9), np.float32), Affine(np.eye(4))))[0]


@pytest.mark.parametrize(("name", "in_mni"), [("ms07_FLAIR", True), ("ms19_T1", True), ("gliomaDU7294_T2", False)])
def test_real_brains(real_data, name, in_mni):
    found = brain_placement(read_volume(real_data / "mr" / f"{name}.nii.gz"))
    assert found.is_stripped
    assert found.is_in_mni == in_mni
