"""What a virtual head is made of: one number per structure, with its name and FreeSurfer's numbers on both sides."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Part(IntEnum):
    """Structure of a head; the contrast has relaxation times for each."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    EYE = 6
    MUCOSA = 7
    BLOOD = 8
    CSF = 9
    CORTEX = 10
    WHITE = 11
    LATERAL_VENTRICLE = 12
    THIRD_VENTRICLE = 13
    FOURTH_VENTRICLE = 14
    CHOROID = 15
    THALAMUS = 16
    CAUDATE = 17
    PUTAMEN = 18
    PALLIDUM = 19
    HIPPOCAMPUS = 20
    AMYGDALA = 21
    BRAINSTEM = 22
    CEREBELLAR_CORTEX = 23
    CEREBELLAR_WHITE = 24


FLUID = (Part.CSF, Part.LATERAL_VENTRICLE, Part.THIRD_VENTRICLE, Part.FOURTH_VENTRICLE)
VENTRICLES = (Part.LATERAL_VENTRICLE, Part.THIRD_VENTRICLE, Part.FOURTH_VENTRICLE, Part.CHOROID)
BRAIN = tuple(part for part in Part if part >= Part.CORTEX)  # with its ventricles
TISSUE = tuple(part for part in BRAIN if part not in FLUID)
INFRATENTORIAL = (Part.BRAINSTEM, Part.CEREBELLAR_CORTEX, Part.CEREBELLAR_WHITE)
DEEP_GREY = (Part.THALAMUS, Part.CAUDATE, Part.PUTAMEN, Part.PALLIDUM)

_FREESURFER = {  # part: number on the left, number on the right
    Part.CSF: (24, 24), Part.CORTEX: (3, 42), Part.WHITE: (2, 41), Part.LATERAL_VENTRICLE: (4, 43),
    Part.THIRD_VENTRICLE: (14, 14), Part.FOURTH_VENTRICLE: (15, 15), Part.CHOROID: (31, 63), Part.THALAMUS: (10, 49),
    Part.CAUDATE: (11, 50), Part.PUTAMEN: (12, 51), Part.PALLIDUM: (13, 52), Part.HIPPOCAMPUS: (17, 53),
    Part.AMYGDALA: (18, 54), Part.BRAINSTEM: (16, 16), Part.CEREBELLAR_CORTEX: (8, 47),
    Part.CEREBELLAR_WHITE: (7, 46), Part.SKIN: (511, 511), Part.MUSCLE: (507, 507), Part.BONE: (515, 515),
    Part.MARROW: (516, 516), Part.EYE: (506, 506), Part.MUCOSA: (509, 509), Part.BLOOD: (514, 514),
}  # fmt: skip
_ALSO = {  # further numbers of label maps
    5: Part.LATERAL_VENTRICLE, 44: Part.LATERAL_VENTRICLE, 26: Part.CAUDATE, 58: Part.CAUDATE, 28: Part.BRAINSTEM,
    60: Part.BRAINSTEM, 30: Part.CSF, 62: Part.CSF, 72: Part.LATERAL_VENTRICLE, 85: Part.WHITE, 25: Part.WHITE,
    57: Part.WHITE, 77: Part.WHITE, 80: Part.WHITE, 136: Part.CHOROID, 137: Part.CHOROID, 163: Part.CHOROID,
    164: Part.CHOROID, 502: Part.MUSCLE, 508: Part.MUCOSA, 512: Part.BRAINSTEM, 530: Part.WHITE,
    251: Part.WHITE, 252: Part.WHITE, 253: Part.WHITE, 254: Part.WHITE, 255: Part.WHITE,
}  # fmt: skip


def part_of_number() -> np.ndarray:
    """Part of every FreeSurfer number, uint8, `(1000,)`; numbers without a part are air."""
    table = np.zeros(1000, np.uint8)
    for part, numbers in _FREESURFER.items():
        table[list(numbers)] = part
    for number, part in _ALSO.items():
        table[number] = part
    return table


def number_of_part() -> np.ndarray:
    """FreeSurfer's number of every part, left and right, uint16 `(parts, 2)`; 0 for air and fat."""
    table = np.zeros((len(Part), 2), np.uint16)
    for part, numbers in _FREESURFER.items():
        table[part] = numbers
    return table


def number_names() -> dict[int, str]:
    """Names of the numbers that `number_of_part` gives, such as `left_thalamus`."""
    names = {}
    for part, (left, right) in _FREESURFER.items():
        name = part.name.lower()
        names |= {left: name} if left == right else {left: f"left_{name}", right: f"right_{name}"}
    return dict(sorted(names.items()))
