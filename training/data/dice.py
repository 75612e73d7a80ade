"""Dice per organ of a label map against a reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def dice_per_label(
    answer: np.ndarray, reference: np.ndarray, names: Mapping[int, str], least_voxels: int = 30
) -> dict[str, float]:
    """Dice of every label that the reference shows.

    Args:
        answer: labels, any shape, non-negative integers.
        reference: labels of the same shape.
        names: name of each label value.
        least_voxels: labels with fewer voxels in the reference are left out, being chance.
    """
    size = int(max(answer.max(), reference.max(), *names)) + 1
    in_answer, in_reference = (np.bincount(a.ravel(), minlength=size) for a in (answer, reference))
    both = np.bincount(answer.ravel()[answer.ravel() == reference.ravel()], minlength=size)
    shown = [value for value in names if in_reference[value] >= least_voxels]
    return {names[v]: float(2 * both[v] / (in_answer[v] + in_reference[v])) for v in shown}
