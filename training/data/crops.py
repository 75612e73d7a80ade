"""Where a crop lies, and how its values are scaled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medfm_core.card_inputs import Intensity
from medfm_core.slices import between
from training.data.preparation import PREPARATIONS
from training.data.stored_volume import StoredVolume
from training.data.volume_statistics import quantile


def draw_start(
    shape: Sequence[int], size: Sequence[int], rng: np.random.Generator, points: np.ndarray | None = None
) -> tuple[int, ...]:
    """Draw where a crop begins.

    Args:
        shape: of the volume.
        size: of the crop; along axes where it is larger than the volume, the volume is centred in it.
        rng: draws evenly among all possible places.
        points: `(N, 3)`; if any are given, the crop contains one of them.
    """
    chosen = None if points is None or not len(points) else points[int(rng.integers(len(points)))]
    centred = centre_start(shape, size)
    start = []
    for axis, (length, count) in enumerate(zip(shape, size, strict=True)):
        low, high = 0, length - count
        if high <= 0:
            start.append(centred[axis])
            continue
        if chosen is not None:
            low, high = max(low, int(chosen[axis]) - count + 1), min(high, int(chosen[axis]))
        start.append(int(rng.integers(low, high + 1)))
    return tuple(start)


def resolved(intensity: Intensity, volume: StoredVolume) -> Intensity:
    """An intensity rule that depends on the whole volume as one that does not, by the volume's statistics.

    Volumes whose preparation scales values already are left as they are.
    """
    if is_scaled(volume):
        return Intensity("none")
    if intensity.kind != "percentiles":
        return intensity
    return between(intensity, *(quantile(volume.facts["statistics"], percent) for percent in intensity.percentiles))


def is_scaled(volume: StoredVolume) -> bool:
    """Whether a volume's values were stored as they enter the network."""
    way = PREPARATIONS.get(volume.facts.get("preparation", {}).get("name", ""))
    return way is not None and way.scales


def centre_start(shape: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    """Where a crop in the middle begins; negative along axes where it is larger than the volume."""
    return tuple((length - count) // 2 for length, count in zip(shape, size, strict=True))


def foreground_points(volume: StoredVolume, labels: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Voxels of one of the labels that the volume shows, each label as likely as the others; else of the foreground.

    Args:
        volume: where they are looked for.
        labels: values of its label map.
        rng: draws the label.
    """
    shown = [value for value in labels if str(value) in volume.facts["points"]["labels"]]
    return volume.points(shown[int(rng.integers(len(shown)))] if shown else None)
