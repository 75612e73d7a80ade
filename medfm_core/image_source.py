"""An image on its way to a network that takes any: read, and its modality told or guessed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medfm_core.io.picture import read_image
from medfm_core.io.reading import Source
from medfm_core.volume import Volume

_AIR_HU, _HIGHEST_HU = -500.0, 5000.0


def open_image(source: Source, modality: str | None = None, series: str | None = None) -> Volume:
    """Read an image of any kind.

    Args:
        source: see `read_image`.
        modality: what it is, where the file does not say it or says it wrongly.
        series: which series of a DICOM folder.

    Returns:
        The image, without values that are no numbers. Its modality is None where neither file, user nor values tell
        it: values that reach from air far below 0 upwards are taken to be a CT in HU.
    """
    volume = read_image(source, series=series)
    if not np.isfinite(volume.voxels).all():
        finite = volume.voxels[np.isfinite(volume.voxels)]
        low = float(finite.min()) if finite.size else 0.0
        volume = volume.with_voxels(np.nan_to_num(volume.voxels, nan=low, posinf=low, neginf=low))
    known = modality or volume.modality or ("CT" if _looks_like_ct(volume) else None)
    return replace(volume, modality=known)


def _looks_like_ct(volume: Volume) -> bool:
    low, high = np.percentile(volume.voxels[::2, ::2, ::2], (1, 99.9))
    return bool(low < _AIR_HU and high < _HIGHEST_HU)
