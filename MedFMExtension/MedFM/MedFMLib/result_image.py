"""Read the label and saliency maps that MedFM wrote: little-endian NIfTI of one volume, packed or not.

Slicer's own reader goes through ITK, which refuses a sheared grid (gantry tilt) and rounds directions. Here the voxels
are taken as they are; where they lie is said exactly by `analysis.json`.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from .scene_errors import SceneError

_DTYPES = {2: "<u1", 4: "<i2", 16: "<f4", 512: "<u2"}
_LAYOUTS = {348: ("<i2", 40, 70, 108, "<f4"), 540: ("<i8", 16, 12, 168, "<i8")}  # type and place of dim, type, offset


def read_voxels(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Read the voxels of a map.

    Args:
        path: a `.nii` or `.nii.gz` that MedFM wrote.
        shape: voxels along i, j, k that it must have.

    Returns:
        `(k, j, i)`, as VTK and `slicer.util` order them.

    Raises:
        SceneError: the file is missing, damaged, or of another shape.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(540)
            dtype, found, start = _header(head)
            if found != tuple(shape):
                raise SceneError(f"{path} has another size than its scan", "analyse the scan anew")
            file.seek(start)
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            body = file.read(size)
    except FileNotFoundError as error:
        raise SceneError(f"{path} is not there any more", "analyse the scan anew") from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, IndexError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(f"{path} is damaged ({type(error).__name__})", "analyse the scan anew") from error
    if len(body) != size:
        raise SceneError(f"{path} is cut off", "analyse the scan anew")
    return np.frombuffer(body, dtype).reshape(tuple(shape)[::-1])


def _header(head: bytes) -> tuple[np.dtype, tuple[int, ...], int]:
    """Type, shape and first byte of the voxels."""
    size_type, dim_at, type_at, offset_at, offset_type = _LAYOUTS[int(np.frombuffer(head, "<i4", 1)[0])]
    dims = np.frombuffer(head, size_type, 4, dim_at)
    code = int(np.frombuffer(head, "<i2", 1, type_at)[0])
    start = int(np.frombuffer(head, offset_type, 1, offset_at)[0])
    return np.dtype(_DTYPES[code]), tuple(int(n) for n in dims[1:4]), start
