"""The grey values that a scan is first shown in."""

from __future__ import annotations

import numpy as np

from medfm_core.volume import Volume

_SOFT_TISSUE_HU = 400.0, 40.0  # window and level
_NO_AIR_HU = -100.0  # a CT goes below
_SAMPLED = 1 << 20


def grey_window(volume: Volume) -> tuple[float, float]:
    """Width and middle of the window: soft tissue for CT, for MR from 0 to nearly its highest value.

    Args:
        volume: where nothing says what it is, it is a CT if it holds values as air has them.
    """
    sample = volume.voxels.ravel(order="K")[:: max(1, volume.voxels.size // _SAMPLED)]
    sample = np.asarray(sample[np.isfinite(sample)], np.float64)
    is_ct = volume.modality != "MR" and (volume.modality == "CT" or (sample.size and sample.min() < _NO_AIR_HU))
    if is_ct:
        return _SOFT_TISSUE_HU
    bright = sample[sample > 0]
    low, high = min(0.0, float(sample.min(initial=0.0))), float(np.quantile(bright, 0.995)) if bright.size else 1.0
    return high - low, (high + low) / 2
