"""What is to be known of a stored volume without reading it: values, foreground, and where labels are found."""

from __future__ import annotations

from typing import Any

import numpy as np

from medfm_core.body import body_mask
from medfm_core.volume import Volume

QUANTILES = (
    0, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 98, 99, 99.5, 99.9, 99.95, 99.99,
    100,
)  # fmt: skip
FOREGROUND_POINTS = 256
LABEL_POINTS = 32
_COARSE_MM = 8.0


def value_statistics(stored: np.ndarray, scale: float, offset: float) -> dict[str, Any]:
    """Mean, standard deviation and quantiles of all voxels.

    Args:
        stored: int16.
        scale: with `offset` it gives the value, `stored * scale + offset`.
        offset: as above.
    """
    counts = np.bincount((stored.ravel().view(np.uint16) ^ 0x8000), minlength=1 << 16)
    values = (np.arange(1 << 16) - 32768) * scale + offset
    mean = float(counts @ values) / stored.size
    spread = float(np.sqrt(max(0.0, counts @ (values - mean) ** 2 / stored.size)))
    ranks = np.array(QUANTILES) / 100 * (stored.size - 1)
    at = np.searchsorted(np.cumsum(counts), ranks, side="right")
    return {
        "mean": _short(mean),
        "std": _short(spread),
        "quantiles": [_short(value) for value in values[np.minimum(at, (1 << 16) - 1)]],
    }


def quantile(statistics: dict[str, Any], percent: float) -> float:
    """A quantile of all voxels, read from the statistics; between the stored ones it is interpolated."""
    return float(np.interp(percent, QUANTILES, statistics["quantiles"]))


def foreground(image: Volume) -> tuple[dict[str, Any], list[int]]:
    """Find the body or head on a coarse grid.

    CT: the body. Other images: what is brighter than the threshold that best parts dark from bright (Otsu).

    Args:
        image: as stored.

    Returns:
        Share, mean and standard deviation of the foreground, and flat indices of some of its voxels.
    """
    if image.modality == "CT":
        mask, steps = body_mask(image, _COARSE_MM / 2)
    else:
        steps = tuple(max(1, round(_COARSE_MM / 2 / step)) for step in image.spacing)
        coarse = image.voxels[:: steps[0], :: steps[1], :: steps[2]]
        mask = coarse > _threshold(coarse)
    values = image.voxels[:: steps[0], :: steps[1], :: steps[2]][mask].astype(np.float64)
    facts = {"share": _short(float(mask.mean()))}
    if values.size:
        facts |= {"mean": _short(float(values.mean())), "std": _short(float(values.std()))}
    chosen = _some(np.flatnonzero(mask), FOREGROUND_POINTS)
    places = np.stack(np.unravel_index(chosen, mask.shape)) * np.array(steps)[:, None]
    return facts, np.ravel_multi_index(tuple(places), image.shape).tolist()


def label_statistics(labels: np.ndarray) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Voxels of each label value, and flat indices of some of them.

    Args:
        labels: `(D, H, W)` uint8 or uint16; 0 is no label.
    """
    flat = labels.ravel()
    counts = np.bincount(flat)
    places = np.flatnonzero(flat)
    order = np.argsort(flat[places], kind="stable")
    ends = np.cumsum(counts[1:])
    found = {}
    for value in np.flatnonzero(counts[1:]) + 1:
        mine = places[order[ends[value - 1] - counts[value] : ends[value - 1]]]
        found[str(value)] = _some(mine, LABEL_POINTS).tolist()
    return {value: int(counts[int(value)]) for value in found}, found


def _some(indices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of them, the same ones each time, in rising order."""
    if len(indices) <= count:
        return indices
    return np.sort(np.random.default_rng(0).choice(indices, count, replace=False))


def _threshold(values: np.ndarray) -> float:
    low, high = np.percentile(values, (0.5, 99.5))
    if not low < high:
        return float(low)
    counts, edges = np.histogram(values, 128, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[int(np.nanargmax(np.where(np.isfinite(apart), apart, -1)))])


def _short(value: float) -> float:
    return float(f"{value:.7g}")
