"""Dice of label maps: per case and class, then per class over cases. A class that is not there is not scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medfm_core.errors import InputError
from training.data.dice import dice_per_label
from training.data.labelled_case import IGNORE
from training.evaluation.score import Score, mean_of


def dice(target: np.ndarray, answer: np.ndarray, names: Mapping[int, str]) -> Score:
    """Dice of one case per class, voxels of unknown truth left out.

    A class absent from the target has no Dice, whatever the answer shows; its note says how much the answer shows.

    Args:
        target: labels, any shape; negative or `IGNORE` where the truth is not known.
        answer: labels of the same shape.
        names: name of each label value to score, background normally not among them.

    Returns:
        The mean over the classes that the target shows, with all classes as parts.

    Raises:
        InputError: the shapes differ.
    """
    if target.shape != answer.shape:
        raise InputError(
            f"an answer of shape {answer.shape} cannot be scored by a target of {target.shape}", "use the same grid"
        )
    known = (target >= 0) & (target != IGNORE)
    count = int(known.sum())
    if not count:
        parts = {name: Score(None, "no voxel has a known truth") for name in names.values()}
        return mean_of(parts, 0)
    true, said = target[known].astype(np.int64), answer[known].astype(np.int64)
    found = dice_per_label(said, true, names, least_voxels=1)
    parts = {name: _part(name, value, found, said, true) for value, name in names.items()}
    return mean_of(parts, count)


def dice_table(cases: Sequence[Score], names: Sequence[str]) -> np.ndarray:
    """Put cases below each other: `(cases, classes)`, NaN where a class is absent."""
    return np.array([[case.parts[name].number for name in names] for case in cases]).reshape(len(cases), len(names))


def mean_dice(table: np.ndarray, names: Sequence[str]) -> Score:
    """Mean Dice per class over the cases that show it, and the mean over the classes.

    Args:
        table: `(cases, classes)`, NaN where a class is absent; see `dice_table`.
        names: of the classes.
    """
    parts = {}
    for name, column in zip(names, table.T, strict=True):
        shown = column[np.isfinite(column)]
        parts[name] = Score(float(shown.mean()), count=len(shown)) if len(shown) else Score(None, "absent in all cases")
    return mean_of(parts, len(table))


def _part(name: str, value: int, found: Mapping[str, float], said: np.ndarray, true: np.ndarray) -> Score:
    if name in found:
        return Score(found[name], count=int((true == value).sum()))
    wrong = int((said == value).sum())
    return Score(None, f"absent, but the answer shows {wrong} voxels" if wrong else "absent")
