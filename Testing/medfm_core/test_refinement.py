"""Rules that correct a net: lungs are filled to their border, nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.card_parts import REFINEMENTS
from medfm_core.geometry import Affine
from medfm_core.refinement import LOBES, RULES, FillLungs, KeepBody
from medfm_core.volume import Volume


def scene(spacing=(1.5, 1.5, 3.0)):
    """Two lungs and a gas-filled bowel in soft tissue; the net found only the lower two thirds of the lungs."""
    hu = np.full((60, 40, 30), 40, np.int16)
    hu[5:22, 8:30, 10:] = hu[36:55, 8:30, 10:] = -850
    hu[20:40, 10:20, 2:6] = -900
    labels = np.zeros(hu.shape, np.uint8)
    labels[5:22, 8:30, 10:22], labels[36:55, 8:30, 10:22] = 14, 11
    labels[20:40, 10:20, 2:6] = 20
    return Volume(hu, Affine(np.diag([*spacing, 1.0])), modality="CT"), labels


def test_rules_and_cards_agree_on_their_names():
    assert tuple(RULES) == REFINEMENTS


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 3.0), (3.0, 3.0, 3.0), (0.7, 0.7, 1.0), (1.5, 1.5, 8.0)])
def test_lungs_are_filled_with_their_nearest_lobe_and_the_bowel_stays(spacing):
    image, labels = scene(spacing)
    before = labels.copy()
    FillLungs(image)(labels)
    air = image.voxels < -500
    assert (labels[5:22, 8:30, 10:] == 14).all()
    assert (labels[36:55, 8:30, 10:] == 11).all()
    assert (labels[~air] == before[~air]).all()
    assert (labels[20:40, 10:20, 2:6] == 20).all()


def test_without_lungs_or_with_a_speck_of_them_nothing_changes():
    image, labels = scene()
    labels[np.isin(labels, LOBES)] = 0
    labels[6, 9, 11] = 14
    before = labels.copy()
    FillLungs(image)(labels)
    assert (labels == before).all()


def test_tissue_inside_a_lung_label_is_kept():
    image, labels = scene()
    image.voxels[10:14, 12:16, 12:15] = 60  # a nodule the net called lung
    FillLungs(image)(labels)
    assert (labels[10:14, 12:16, 12:15] == 14).all()


def test_labels_of_the_table_are_cleared_and_those_inside_the_body_stay():
    hu = np.full((80, 70, 20), -1000, np.int16)
    hu[10:70, 10:50] = 40
    hu[20:35, 20:40, 5:15] = -850  # a lung
    hu[5:75, 62:64] = 300  # the table
    labels = np.zeros(hu.shape, np.uint8)
    labels[20:35, 20:40, 5:15], labels[10:14, 10:50], labels[5:75, 62:64] = 14, 204, 204
    want = labels.copy()
    want[:, 60:] = 0
    KeepBody(Volume(hu, Affine(np.diag([3.0, 3.0, 3.0, 1.0])), modality="CT"))(labels)
    assert (labels == want).all()


def test_a_scan_without_a_body_keeps_its_labels():
    labels = np.ones((5, 5, 5), np.uint8)
    KeepBody(Volume(np.full((5, 5, 5), -1000, np.int16), Affine(np.eye(4)), modality="CT"))(labels)
    assert labels.all()
