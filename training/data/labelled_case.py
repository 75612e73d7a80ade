"""Labelled volumes in memory, as the segmenter's training reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfm_core.io.atomic import atomic_write

IGNORE = 255


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """One CT on the model's grid.

    Attributes:
        name: what the case is called in logs.
        hu: `(D, H, W)` int16, the array order of the network.
        classes: `(D, H, W)` uint8 network channels; 0 is background, 255 is not to be learnt from.
        means_hu: mean HU of each class, `(C,)` float32, NaN where a class is not there.
        spacing_mm: voxel size along D, H and W.
    """

    name: str
    hu: np.ndarray
    classes: np.ndarray
    means_hu: np.ndarray
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)


def make_case(
    name: str, hu: np.ndarray, classes: np.ndarray, class_count: int, spacing_mm: Sequence[float]
) -> LabelledCase:
    """Bundle a volume with its class means.

    Args:
        name: what the case is called.
        hu: `(D, H, W)` in HU.
        classes: `(D, H, W)` network channels.
        class_count: classes of the network, background included.
        spacing_mm: voxel size along D, H and W.
    """
    kept = classes != IGNORE
    index = classes[kept].astype(np.int64)
    counts = np.bincount(index, minlength=class_count)[:class_count]
    sums = np.bincount(index, weights=hu[kept].astype(np.float64), minlength=class_count)[:class_count]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (sums / counts).astype(np.float32)
    return LabelledCase(name, hu.astype(np.int16), classes.astype(np.uint8), means, tuple(spacing_mm))


def channel_table(organ_ids_of_class: Mapping[int, Sequence[int]], size: int = 256) -> np.ndarray:
    """Build the table from vocabulary ids to network channels, `(size,)` uint8; ids of no class become background."""
    table = np.zeros(size, np.uint8)
    for channel, ids in organ_ids_of_class.items():
        table[list(ids)] = channel
    return table


def save_case(case: LabelledCase, path: Path) -> None:
    """Write a case as a compressed npz, whole or not at all."""
    values = {"hu": case.hu, "classes": case.classes, "means_hu": case.means_hu, "spacing_mm": case.spacing_mm}
    with atomic_write(path) as part:
        np.savez_compressed(part, name=case.name, **values)


def load_case(path: Path) -> LabelledCase:
    """Read a case written by `save_case`."""
    with np.load(path, allow_pickle=False) as file:
        return LabelledCase(
            str(file["name"]),
            file["hu"],
            file["classes"],
            file["means_hu"],
            tuple(float(s) for s in file["spacing_mm"]),
        )
