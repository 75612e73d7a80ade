"""By which a scan is known again: a hash of its voxels."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from medfm_core.volume import Volume

_HASHED_VOXELS = 1 << 22  # at a time


def voxel_hash(volume: Volume) -> str:
    """The sha256 of the voxels, first index fastest, little-endian: 64 hexadecimal digits.

    Args:
        volume: as read, before any offset is added.
    """
    digest = hashlib.sha256()
    slices = max(1, _HASHED_VOXELS // (volume.shape[0] * volume.shape[1]))
    for start in range(0, volume.shape[2], slices):
        part = np.ravel(volume.voxels[:, :, start : start + slices], order="F")
        digest.update(part.astype(part.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()
