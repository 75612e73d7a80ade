"""Masks of CHAOS, one PNG per DICOM image, as label maps on the grid of the scan."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.io import read_volume, write_labels
from medfm_core.volume import Kind, Volume

_LOG = logging.getLogger(__name__)
_NEAR = 0.05  # voxels

Values = Mapping[int, tuple[int, int]]
"""For each label, the grey values of its mask: above the first, up to the second."""

CT_VALUES: Values = {1: (0, 255)}
MR_VALUES: Values = {1: (55, 70), 2: (110, 135), 3: (175, 200), 4: (240, 255)}
"""Liver is drawn as 63, right kidney as 126, left kidney as 189, spleen as 252, each with some room around it."""


def write_masks(images: Path, masks: Path, path: Path, names: Mapping[int, str], values: Values) -> None:
    """Write the label map of a scan.

    Args:
        images: folder of its DICOM files.
        masks: folder with one PNG per DICOM file; in the order of their names they belong together.
        path: of the label map (.nii.gz); its folder is made.
        names: of the labels.
        values: grey values of the masks.

    Raises:
        InputError: there are not as many masks as images, a mask is of another size, or a file cannot be read.
        GeometryError: the images do not lie in one stack.
    """
    labels = mask_volume(images, masks, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(labels, path, dict(names))


def mask_volume(images: Path, masks: Path, values: Values) -> Volume:
    """Read masks onto the grid of their scan; see `write_masks`.

    Each mask is put where its own DICOM file lies in the patient, whatever the order of the stack.
    """
    files, pictures = _by_number(images, ".dcm"), _by_number(masks, ".png")
    if not files or len(files) != len(pictures):
        raise InputError(f"{images} holds {len(files)} images, {masks} {len(pictures)} masks", "download both again")
    scan = read_volume(images)
    columns, rows, slices = scan.shape
    if slices != len(files):
        raise GeometryError(f"{images}: of {len(files)} images {slices} lie in one stack", "leave this scan out")
    found = np.zeros(scan.shape, np.uint8, order="F")
    for file, picture in zip(files, pictures, strict=True):
        grey = _grey(picture)
        if grey.shape != (rows, columns):
            raise InputError(
                f"the mask {picture} is not as large as its image, {rows} x {columns}", "download it again"
            )
        found[:, :, _slice_of(file, scan)] = _labels(grey, values, picture).T
    return scan.with_voxels(found, Kind.LABEL)


def _by_number(folder: Path, ending: str) -> list[Path]:
    """Files of a folder, by the numbers in their names: `IMG-0004-00002.dcm` comes before `IMG-0004-00010.dcm`."""
    found = [path for path in folder.iterdir() if path.suffix.lower() == ending]
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.stem)] or [0])


def _slice_of(file: Path, scan: Volume) -> int:
    """Which slice of the scan a DICOM file is, by the place of its first pixel."""
    import pydicom

    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["ImagePositionPatient"])
    left, back, up = (float(value) for value in header.ImagePositionPatient)
    at = scan.affine.to_voxel(np.array([-left, -back, up]))  # DICOM counts towards left and back, MedFM right and front
    if abs(at[:2]).max() > _NEAR or abs(at[2] - round(at[2])) > _NEAR:
        raise GeometryError(f"{file} does not begin where the stack's other images do", "leave this scan out")
    return round(float(at[2]))


def _grey(picture: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(picture) as opened:
            return np.array(opened.convert("L"))
    except Exception as error:  # whatever a damaged picture may bring about
        raise InputError(f"the mask {picture} cannot be read ({type(error).__name__})", "download it again") from error


def _labels(grey: np.ndarray, values: Values, picture: Path) -> np.ndarray:
    found = np.zeros(grey.shape, np.uint8)
    for label, (above, most) in values.items():
        found[(grey > above) & (grey <= most)] = label
    strange = int(((grey > 0) & (found == 0)).sum())
    if strange:
        _LOG.warning("%s: %d pixels have a grey value of no organ; they count as background", picture.name, strange)
    return found
