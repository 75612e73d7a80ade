"""Tiny folders in the layout of BTCV and CHAOS as they are downloaded: same names, formats and grey values."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from dicom_maker import make_slice, save
from PIL import Image
from pydicom.uid import generate_uid

ROWS, COLUMNS = 20, 24
GREYS = {1: 63, 2: 126, 3: 189, 4: 252}
BRIGHTER = {"CT": 1060, "MR": 100}
"""How much each label is brighter than the one before; a CT shows air and a liver."""


def organs(slices: int, count: int) -> np.ndarray:
    """Labels `(slices, rows, columns)`: blocks 1 to `count`, liver on the image's left, of growing height per slice."""
    labels = np.zeros((slices, ROWS, COLUMNS), np.uint8)
    for label in range(1, count + 1):
        first = 1 + (label - 1) * (COLUMNS - 2) // count
        for z in range(slices):
            labels[z, 3 : 6 + z % 5, first : first + max((COLUMNS - 2) // count - 1, 1)] = label
    return labels


def make_btcv(folder: Path, cases: tuple[int, ...] = (1, 2, 33, 35), unlabelled: tuple[int, ...] = (61,)) -> Path:
    """`RawData` with a few cases; HU of 100 and more where a label is."""
    for kind in ("Training/img", "Training/label", "Testing/img"):
        (folder / "RawData" / kind).mkdir(parents=True, exist_ok=True)
    affine = np.diag([-4.0, 4.0, 6.0, 1.0])  # BTCV's first axis runs towards the patient's left or right
    for number in (*cases, *unlabelled):
        labels = np.transpose(organs(8, 13), (2, 1, 0))
        rng = np.random.default_rng(number)
        hu = np.where(labels > 0, 100 + 10 * labels, -50) + rng.normal(0, 5, labels.shape)
        part = "Training" if number in cases else "Testing"
        image = nibabel.Nifti1Image(hu.astype(np.int16), affine)
        nibabel.save(image, folder / "RawData" / part / "img" / f"img{number:04d}.nii.gz")
        if number in cases:
            nibabel.save(nibabel.Nifti1Image(labels, affine),
                         folder / "RawData" / part / "label" / f"label{number:04d}.nii.gz")  # fmt: skip
    return folder / "RawData"


def make_chaos(folder: Path, ct: tuple[int, ...] = (1, 2), mr: tuple[int, ...] = (1, 13)) -> Path:
    """`Train_Sets` with a few patients."""
    root = folder / "Train_Sets"
    for patient in ct:
        place = root / "CT" / str(patient)
        labels = organs(7, 1)
        _write_scan(place / "DICOM_anon", [f"i{z:04d},0000b" for z in range(7)], labels, "CT", patient)
        _write_masks(place / "Ground", [f"liver_GT_{z:03d}" for z in range(7)], labels * 255)
    for patient in mr:
        place, labels = root / "MR" / str(patient), organs(6, 4)
        grey = np.array([0, *GREYS.values()], np.uint8)[labels]
        # The two echoes were stored alternately: even numbers are in phase, and the masks bear their names.
        inside = [f"IMG-0004-{2 * z + 2:05d}" for z in range(6)]
        outside = [f"IMG-0004-{2 * z + 1:05d}" for z in range(6)]
        _write_scan(place / "T1DUAL/DICOM_anon/InPhase", inside, labels, "MR", 10 * patient)
        _write_scan(place / "T1DUAL/DICOM_anon/OutPhase", outside, labels, "MR", 10 * patient + 1)
        _write_masks(place / "T1DUAL/Ground", inside, grey)
        names = [f"IMG-0002-{z + 1:05d}" for z in range(6)]
        _write_scan(place / "T2SPIR/DICOM_anon", names, labels, "MR", 10 * patient + 2)
        _write_masks(place / "T2SPIR/Ground", names, grey)
    return root


def _write_scan(folder: Path, names: list[str], labels: np.ndarray, modality: str, seed: int) -> None:
    """Slices from head to feet, as CHAOS numbers them; brighter where a label is."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    uid = generate_uid(entropy_srcs=[modality, str(seed)])
    for z, name in enumerate(names):
        noise = rng.integers(0, 20, labels[z].shape)
        pixels = (24 + BRIGHTER[modality] * labels[z].astype(int) + noise).astype(np.uint16)
        made = make_slice(pixels, (-40.0, -30.0, 200.0 - 8.0 * z), series=uid, number=z + 1)
        made.Modality, made.SliceThickness, made.PixelSpacing = modality, 8.0, [1.7, 1.6]
        if modality == "MR":
            del made.RescaleSlope, made.RescaleIntercept, made.RescaleType
        save(made, folder / f"{name}.dcm")


def _write_masks(folder: Path, names: list[str], grey: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for name, one in zip(names, grey.astype(np.uint8), strict=True):
        Image.fromarray(one).save(folder / f"{name}.png")
