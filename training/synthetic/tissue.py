"""The materials of a virtual patient, one per voxel."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Material of a voxel; the appearance model maps each to Hounsfield units."""

    AIR_OUTSIDE = 0
    SKIN = 1
    FAT_SUBCUTANEOUS = 2
    FAT_VISCERAL = 3
    MUSCLE = 4
    CORTICAL_BONE = 5
    CANCELLOUS_BONE = 6
    CARTILAGE = 7
    DISC = 8
    LUNG = 9
    AIRWAY = 10
    AIRWAY_WALL = 11
    LUNG_VESSEL = 12
    BLOOD_ARTERIAL = 13
    BLOOD_VENOUS = 14
    BLOOD_PORTAL = 15
    BLOOD_PULMONARY = 16
    BLOOD_RIGHT_HEART = 17
    MYOCARDIUM = 18
    LIVER = 19
    LIVER_VESSEL = 20
    SPLEEN = 21
    KIDNEY_CORTEX = 22
    KIDNEY_MEDULLA = 23
    URINE = 24
    PANCREAS = 25
    ADRENAL = 26
    BILE = 27
    BOWEL_WALL = 28
    BOWEL_CONTENT = 29
    BOWEL_GAS = 30
    STOOL = 31
    STOMACH_WALL = 32
    STOMACH_CONTENT = 33
    STOMACH_GAS = 34
    BLADDER_WALL = 35
    SPINAL_CORD = 36
    CSF = 37
    THYROID = 38
    PROSTATE = 39
    UTERUS = 40
    BREAST = 41
    MARROW_FAT = 42


BACKGROUND = (Tissue.FAT_SUBCUTANEOUS, Tissue.FAT_VISCERAL, Tissue.MUSCLE, Tissue.SKIN)
"""What fills the body before any structure is drawn; structures may be drawn over these only."""
