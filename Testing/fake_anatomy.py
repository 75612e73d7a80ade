"""A tiny body of ellipsoids, boxes and tubes: every organ that lesions look for, in a tenth of a second."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume
from training.synthetic.tissue import Tissue

SHAPE = (88, 66, 150)
MM = 4.0


def fake_anatomy() -> SimpleNamespace:
    """Labels and tissues of a body in a RAS grid of 4 mm; millimetres from the middle, z up from the pelvis."""
    labels, tissues = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    x, y, z = np.meshgrid(*(np.arange(n) * MM for n in SHAPE), indexing="ij", sparse=True)
    x, y = x - x.max() / 2, y - y.max() / 2

    def oval(centre, radii, label, tissue, where=None):
        inside = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True)) <= 1
        if where is not None:
            inside &= where
        if label is not None:
            labels[inside] = label
        tissues[inside] = tissue
        return inside

    def tube(a, b, radius, label, tissue):
        t = np.clip((z - a[2]) / (b[2] - a[2]), 0, 1)
        inside = np.hypot(x - a[0] - t * (b[0] - a[0]), y - a[1] - t * (b[1] - a[1])) <= radius
        inside &= (z >= a[2]) & (z <= b[2])
        labels[inside], tissues[inside] = label, tissue

    flat = np.hypot(x / 165, y / 115) <= 1
    for scale, tissue in ((1.0, Tissue.FAT_SUBCUTANEOUS), (0.9, Tissue.MUSCLE), (0.82, Tissue.FAT_VISCERAL)):
        tissues[np.broadcast_to(np.hypot(x / 165, y / 115) <= scale, SHAPE) & flat] = tissue
    for side, lobes in ((1, (14, 13, 12)), (-1, (11, 11, 10))):
        for n, lobe in enumerate(lobes):
            oval((side * 75, 0, 480), (58, 85, 120), lobe, Tissue.LUNG, np.broadcast_to(z > 380 + 55 * n, SHAPE))
        oval((side * 60, -10, 480), (14, 5, 60), None, Tissue.LUNG_VESSEL)
    oval((-15, 35, 420), (55, 45, 55), 51, Tissue.MYOCARDIUM)
    oval((-20, 35, 420), (30, 25, 35), 51, Tissue.BLOOD_ARTERIAL)
    oval((15, 35, 420), (18, 25, 35), 51, Tissue.BLOOD_RIGHT_HEART)
    oval((0, 20, 485), (40, 12, 14), None, Tissue.BLOOD_PULMONARY)
    oval((60, 10, 315), (80, 75, 60), 5, Tissue.LIVER)
    oval((60, 10, 315), (60, 6, 6), 5, Tissue.LIVER_VESSEL)
    oval((50, 65, 285), (14, 14, 26), 4, Tissue.BILE)
    oval((-105, -40, 320), (30, 40, 45), 1, Tissue.SPLEEN)
    oval((-55, 30, 320), (40, 30, 40), 6, Tissue.STOMACH_CONTENT)
    oval((-10, 15, 270), (65, 11, 14), 7, Tissue.PANCREAS)
    for side, number in ((1, 2), (-1, 3)):
        oval((side * 60, -50, 235), (30, 27, 55), number, Tissue.KIDNEY_CORTEX)
        oval((side * 58, -48, 235), (18, 15, 40), number, Tissue.KIDNEY_MEDULLA)
        oval((side * 48, -46, 235), (9, 9, 18), None, Tissue.URINE)
        oval((side * 45, -35, 295), (9, 7, 12), 8 if side > 0 else 9, Tissue.ADRENAL)
    for n in range(25):
        name = 26 + n
        oval((0, -50, 80 + 20 * n), (22, 17, 9), name, Tissue.CORTICAL_BONE)
        oval((0, -50, 80 + 20 * n), (18, 13, 7), name, Tissue.CANCELLOUS_BONE)
    tube((0, -78, 80), (0, -78, 590), 7, 79, Tissue.SPINAL_CORD)
    tube((-12, -24, 130), (-18, -24, 520), 12, 52, Tissue.BLOOD_ARTERIAL)
    oval((0, 12, 455), (14, 22, 40), 52, Tissue.BLOOD_ARTERIAL)
    tube((18, -22, 130), (20, -10, 400), 11, 63, Tissue.BLOOD_VENOUS)
    tube((20, 10, 460), (20, 10, 530), 10, 62, Tissue.BLOOD_VENOUS)
    oval((20, 10, 280), (34, 8, 8), 64, Tissue.BLOOD_PORTAL)
    tube((-4, -2, 360), (-4, -2, 560), 7, 15, Tissue.BOWEL_WALL)
    tube((0, 10, 490), (0, 10, 580), 8, 16, Tissue.AIRWAY)
    for side in (1, -1):
        oval((side * 22, 22, 575), (12, 10, 18), 17, Tissue.THYROID)
        oval((side * 100, 10, 200), (22, 25, 70), 20, Tissue.STOOL)
    oval((-50, 30, 110), (45, 20, 14), 20, Tissue.STOOL)
    for n in range(6):
        oval((-45 + 30 * (n % 4), 30, 150 + 30 * (n // 2)), (13, 30, 12), 18, Tissue.BOWEL_CONTENT)
    oval((0, 20, 70), (38, 34, 30), 21, Tissue.BLADDER_WALL)
    oval((0, 20, 70), (34, 30, 26), 21, Tissue.URINE)
    oval((0, 0, 30), (22, 18, 16), 22, Tissue.PROSTATE)
    oval((0, -65, 60), (45, 16, 30), 25, Tissue.CANCELLOUS_BONE)
    for side, number in ((1, 78), (-1, 77)):
        oval((side * 95, -30, 70), (22, 45, 60), number, Tissue.CANCELLOUS_BONE)
        oval((side * 80, -85, 50), (40, 18, 40), 81 if side > 0 else 80, Tissue.MUSCLE)
    matrix = np.diag([MM, MM, MM, 1.0])
    matrix[:3, 3] = (-150, -120, -300)
    affine = Affine(matrix)
    return SimpleNamespace(labels=Volume(labels, affine, Kind.LABEL), tissues=Volume(tissues, affine, Kind.LABEL))
