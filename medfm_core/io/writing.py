"""Write label maps and scalar maps: the same grid as the image they belong to, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_write
from medfm_core.volume import Kind, Volume

Colours = Mapping[int, tuple[int, int, int]]
SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd")


def write_labels(volume: Volume, path: str | Path, names: Mapping[int, str], colours: Colours | None = None) -> None:
    """Write a label map.

    A NIfTI made of a volume that was read from NIfTI keeps the header fields that place its voxels, bit for bit, and
    carries the names of its labels in a header extension. A `.seg.nrrd` opens in 3D Slicer as a named segmentation;
    on a sheared grid (gantry tilt) it is the only one that ITK reads, which refuses such a NIfTI.

    Args:
        volume: labels from 0 to 65535; written as uint8 where they fit, else uint16.
        path: ends in .nii.gz, .nii, .seg.nrrd or .nrrd; its folder must exist.
        names: name of each label that may occur; 0 is background.
        colours: red, green, blue from 0 to 255 per label.

    Raises:
        InputError: no label map, labels out of range, or a place that cannot be written.
        ResourceError: the disk is full; no file is left behind.
    """
    if volume.kind is not Kind.LABEL:
        raise InputError("an image cannot be written as a label map", "write it by write_scalar")
    low, high = int(volume.voxels.min()), int(volume.voxels.max())
    if low < 0 or high > 65535:
        raise InputError(f"labels from {low} to {high} cannot be written", "use labels from 0 to 65535")
    keeps = volume.voxels.dtype == np.uint16 and high > 255
    voxels = volume.voxels if keeps else volume.voxels.astype(np.uint8 if high < 256 else np.uint16, copy=False)
    _write(volume.with_voxels(voxels), path, dict(names), dict(colours or {}))


def write_scalar(volume: Volume, path: str | Path) -> None:
    """Write an image or a map of numbers (saliency, probability).

    Args:
        volume: int16 and uint8 are written so, everything else as float32.
        path: ends in .nii.gz, .nii or .nrrd; its folder must exist.

    Raises:
        InputError: a place that cannot be written, or values that are not finite.
        ResourceError: the disk is full; no file is left behind.
    """
    voxels = volume.voxels
    if voxels.dtype not in (np.dtype(np.int16), np.dtype(np.uint8)):
        voxels = voxels.astype(np.float32, copy=False)
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise InputError(f"cannot write {path}: it would hold NaN or infinite values")
    _write(volume.with_voxels(voxels, Kind.IMAGE), path, None, {})


def _write(volume: Volume, path: str | Path, names: dict[int, str] | None, colours: dict[int, tuple]) -> None:
    path = Path(path)
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), None)
    if suffix is None or (suffix == ".seg.nrrd" and names is None):
        raise InputError(f"cannot write {path}: its ending names no format for it", f"end it in {', '.join(SUFFIXES)}")
    if suffix.endswith(".nrrd"):
        from medfm_core.io.nrrd_writing import encode_nrrd

        chunks = encode_nrrd(volume, names if suffix == ".seg.nrrd" else None, colours)
    else:
        from medfm_core.io.nifti_writing import encode_nifti

        chunks = encode_nifti(volume, names, colours, packed=suffix == ".nii.gz")
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
