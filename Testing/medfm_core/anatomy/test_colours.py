"""Display colours: distinct, neighbours apart for every kind of sight, the two sides related."""

from __future__ import annotations

import numpy as np
import pytest

from medfm_core.anatomy import load_vocabulary

NEIGHBOURS = """liver kidney_right|liver stomach|liver gallbladder|liver lung_lower_lobe_right|liver heart|liver colon
liver inferior_vena_cava|kidney_left colon|kidney_right colon|gallbladder colon
spleen kidney_left|spleen stomach|spleen lung_lower_lobe_left|pancreas stomach
pancreas duodenum|pancreas portal_vein_and_splenic_vein|small_bowel colon|small_bowel duodenum|aorta inferior_vena_cava
aorta vertebrae|aorta esophagus|heart lung_lower_lobe_left|lung_upper_lobe_left lung_lower_lobe_left
lung_upper_lobe_right lung_middle_lobe_right|lung_middle_lobe_right lung_lower_lobe_right|vertebrae spinal_cord
vertebrae autochthon_left|vertebrae iliopsoas_left|hip_left gluteal_muscles|hip_left femur_left|sacrum hip_right
kidney_right adrenal_gland_right|iliac_artery_left iliac_vena_left|vertebrae_L3 vertebrae_L4|rib_left_5 rib_left_6"""


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary()


LAB_1 = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB_2 = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
SIGHT = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "usual": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def _oklab(colour, sight):
    values = np.asarray(colour) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SIGHT[sight]) @ linear, 0, 1)
    return LAB_2 @ np.cbrt(LAB_1 @ seen)


def test_colours_are_distinct(vocabulary):
    everything = (*vocabulary.organs, *vocabulary.composites)
    seen = np.array([_oklab(organ.colour, "usual") for organ in everything])
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
    assert distance.min() > 0.02  # about one just noticeable difference


@pytest.mark.parametrize("sight", SIGHT)
def test_neighbours_can_be_told_apart(vocabulary, sight):
    pairs = [pair.split() for line in NEIGHBOURS.splitlines() for pair in line.split("|")]
    assert len(pairs) > 30
    for a, b in pairs:
        first, second = (_oklab(vocabulary.by_name(name).colour, sight) for name in (a, b))
        assert np.linalg.norm(first - second) > 0.08, (a, b)


def test_sides_have_related_hues(vocabulary):
    for organ in vocabulary.organs:
        if organ.side == "left" and organ.name != "atrial_appendage_left":
            other = vocabulary.by_name(organ.name.replace("left", "right"))
            (_, *first), (_, *second) = (_oklab(colour, "usual") for colour in (organ.colour, other.colour))
            assert np.linalg.norm(np.subtract(first, second)) < 0.03, organ.name
