"""What is known of an input before its voxels are decoded, and how much memory decoding may take."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medfm_core.errors import GeometryError, InputError, ResourceError
from medfm_core.geometry import Affine, Grid
from medfm_core.machine import memory
from medfm_core.settings import read_settings

_THINNEST_MM, _THICKEST_MM = 0.05, 25.0
_MOST_ANISOTROPIC = 8.0
_SINGLE: ContextVar[bool] = ContextVar("single_slices", default=False)


@dataclass(frozen=True, eq=False)
class Header:
    """What an image file or series says of itself.

    Args:
        grid: shape and place of the voxels.
        dtype: type of the voxels once decoded; an upper bound where only the values decide.
        format: "nifti", "nrrd", "mha" or "dicom".
        modality: DICOM's word ("CT", "MR"), None if the format does not say.
        warnings: what a user should know, one sentence each.
        meta: what the volume's meta will hold besides format and warnings.
    """

    grid: Grid
    dtype: np.dtype
    format: str
    modality: str | None = None
    warnings: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory of the decoded voxels, bytes."""
        return self.grid.voxels * self.dtype.itemsize


class Decoded(NamedTuple):
    """Voxels as they come out of a file, with what was noticed on the way."""

    voxels: np.ndarray  # (I, J, K), stored values with the file's slope and intercept applied
    warnings: tuple[str, ...] = ()
    meta: Mapping[str, Any] = {}


class Opened(NamedTuple):
    """An input whose header is read and whose voxels can be."""

    header: Header
    decode: Callable[[], Decoded]
    name: str  # how messages call it


def checked_grid(shape: tuple[int, ...], affine: Affine, name: str) -> Grid:
    """Build the grid of an input.

    Raises:
        InputError: not a volume but a single slice, and none is asked for (`single_slices`).
    """
    if len(shape) != 3 or (min(shape) < 2 and not (_SINGLE.get() and sorted(shape)[1] > 1)):
        text = " x ".join(str(n) for n in shape)
        raise InputError(f"{name} is no volume: it has {text} voxels", "give a scan with at least 2 slices")
    return Grid(shape, affine)


@contextmanager
def single_slices() -> Iterator[None]:
    """Within this, an image of one slice is an image like others."""
    token = _SINGLE.set(True)
    try:
        yield
    finally:
        _SINGLE.reset(token)


def checked_affine(matrix: np.ndarray, name: str) -> Affine:
    """Build an affine whose error names the input."""
    try:
        return Affine(matrix)
    except GeometryError as error:
        raise GeometryError(f"{name}: {error.what}", error.fix) from error


def grid_warnings(grid: Grid) -> list[str]:
    """Say what is unusual about a grid, one sentence each."""
    spacing = grid.affine.spacing
    text = " x ".join(f"{step:.4g}" for step in spacing)
    found = []
    if min(spacing) < _THINNEST_MM or max(spacing) > _THICKEST_MM:
        found.append(f"The voxels measure {text} mm, which is unusual for a body scan; check the spacing.")
    if max(spacing) / min(spacing) > _MOST_ANISOTROPIC:
        found.append(f"The voxels are very anisotropic ({text} mm); small structures between slices are lost.")
    if not grid.affine.is_orthogonal:
        found.append(
            "The voxel axes are not at right angles (sheared, as by gantry tilt); the shear is kept, and viewers on "
            "ITK open results on this grid as NRRD (`medfm segment --out organs.seg.nrrd`) but not as NIfTI."
        )
    return found


def regular_file(path: Path) -> None:
    """Check that a path is a file that can be read.

    Raises:
        InputError: missing, a folder, a device, empty, or not permitted.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a regular file", "give an image file or a folder of DICOM files")
        with open(path, "rb") as file:
            first = file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", "check the path") from error
    except (OSError, ValueError) as error:
        raise read_error(error, path) from error
    if not first:
        raise InputError(f"{path} is empty (0 bytes)", "copy or export it again")


def read_error(error: OSError | ValueError, path: Path) -> InputError:
    """Turn a failed read into the error that says why."""
    number = getattr(error, "errno", None)
    reason = os.strerror(number).lower() if number else str(error)
    return InputError(f"cannot read {path}: {reason}", "check that the file is there and may be read")


def check_memory(needed: int, name: str) -> None:
    """Refuse what does not fit into memory, before anything is allocated.

    Args:
        needed: bytes that decoding will hold.
        name: how the message calls the input.

    Raises:
        ResourceError: more than MEDFM_MEMORY_GB, or than is free where that is not set.
    """
    limit = read_settings().memory_gb
    free = memory().free if limit is None else int(limit * 1e9)
    if needed > free:
        raise ResourceError(
            f"reading {name} takes {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are available",
            "crop or resample it, or use a machine with more memory",
        )
