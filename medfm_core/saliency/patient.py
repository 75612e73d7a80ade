"""Saliency back in the patient: on the grid of the image that it was computed from."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.errors import GeometryError
from medfm_core.geometry import Grid
from medfm_core.io.writing import write_scalar
from medfm_core.volume import Kind, Volume, resample_to

if TYPE_CHECKING:
    from torch import Tensor

_NOISE = 1e-6  # image voxels by which a face may lie beside a voxel centre through rounding


def in_patient(saliency: Tensor, crop: Grid, image: Volume) -> Volume:
    """Bring a map from the lattice of an organ volume onto the image.

    Only the box of the image that the crop reaches is computed; the rest is zero pages, which take no memory until
    they are written to.

    Args:
        saliency: `(D, H, W)`, finite, at least 0.
        crop: grid of the organ volume, whose axes run in the order W, H, D as `OrganVolume.grid`'s do.
        image: the scan; its voxels are not read.

    Returns:
        On the image's grid exactly, float32, 0 outside the crop; values are interpolated linearly, and averaged where
        the image is coarser than the crop.

    Raises:
        GeometryError: the map does not lie on the crop, or the crop lies outside the image.
    """
    voxels = saliency.detach().float().cpu().numpy().T
    if voxels.shape != crop.shape:
        raise GeometryError(f"a map of W, H, D {voxels.shape} does not lie on a crop of {crop.shape}")
    start, stop = _reach(crop, image.grid)
    if any(a >= b for a, b in zip(start, stop, strict=True)):
        raise GeometryError("the crop lies outside the image", "give the image that the organ was cut from")
    shift = np.eye(4)
    shift[:3, 3] = start
    part = Grid(tuple(b - a for a, b in zip(start, stop, strict=True)), image.affine @ shift)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    whole = np.zeros(image.shape, dtype=np.float32, order="F")  # as files store it
    whole[box] = resample_to(Volume(voxels, crop.affine), part, fill=0.0).voxels
    return replace(image, voxels=whole, kind=Kind.IMAGE, modality=None)


def write_saliency(saliency: Tensor, crop: Grid, image: Volume, path: str | Path) -> Volume:
    """Write a map as a file on the image's grid; see `in_patient`.

    Args:
        saliency: `(D, H, W)`, finite, at least 0.
        crop: grid of the organ volume, axes in the order W, H, D.
        image: the scan; of a NIfTI the header fields that place its voxels are kept bit for bit.
        path: ends in .nii.gz, .nii or .nrrd; its folder must exist.

    Returns:
        What was written.

    Raises:
        GeometryError: the map does not lie on the crop, or the crop lies outside the image.
        InputError: a place that cannot be written, or values that are not finite.
        ResourceError: the disk is full; no file is left behind.
    """
    placed = in_patient(saliency, crop, image)
    write_scalar(placed, path)
    return placed


def _reach(crop: Grid, image: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Start and stop, in voxels of the image, of the box around every voxel centre within the crop's faces."""
    faces = np.array(list(product(*((-0.5, n - 0.5) for n in crop.shape))))
    at = image.affine.to_voxel(crop.affine.to_world(faces))
    start = np.ceil(at.min(axis=0) - _NOISE).astype(int)
    stop = np.floor(at.max(axis=0) + _NOISE).astype(int) + 1
    return tuple(np.maximum(start, 0).tolist()), tuple(np.minimum(stop, image.shape).tolist())
