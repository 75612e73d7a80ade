"""What a segmentation must beat: each place of a volume gets the class that it mostly has in the training volumes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from training.data.labelled_case import IGNORE

_SIDE = 32


class PositionPrior:
    """The commonest class by relative position; the image is not looked at.

    Args:
        maps: class numbers of the training volumes, `(D, H, W)` each, 255 where the truth is not known.
        classes: background included.
    """

    def __init__(self, maps: Iterable[np.ndarray], classes: int) -> None:
        counts = np.zeros((classes, _SIDE, _SIDE, _SIDE), np.int32)
        for found in maps:
            seen = found[np.ix_(*(_places(length, _SIDE) for length in found.shape))]
            for number in range(classes):
                counts[number] += (seen == number) & (seen != IGNORE)
        self._answer = counts.argmax(0).astype(np.uint8)

    def answer(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Class numbers for a volume of a shape, uint8."""
        return self._answer[np.ix_(*(_places(_SIDE, length) for length in shape))]


def _places(length: int, count: int) -> np.ndarray:
    """The index, of `length`, nearest to each of `count` evenly spread places."""
    return ((np.arange(count) + 0.5) * length / count).astype(int)
