"""Targets of which only a few per class are known, so that whatever learns from them has seen no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.cohort import Cohort, Targets
from training.evaluation.few_shot import few_shot_rows, quartiles


def few_shot_targets(cohort: Cohort, shots: int, seed: int, all_shots: Sequence[int] = ()) -> Targets:
    """Targets of which only k per class are known: of the split `train`, balanced, drawn by the seed.

    Every label of a multi-label task has its own k positives and k negatives.

    Args:
        cohort: who.
        shots: k.
        seed: decides the draw; more shots of the same seed hold the fewer ones.
        all_shots: all numbers that will be asked for, so that too large ones are refused at once.

    Raises:
        InputError: a class has fewer rows.
    """
    targets, train = cohort.targets, cohort.rows("train")
    subjects = cohort.subjects_of(train)
    wanted = sorted({shots, *all_shots})
    if targets.task == "multi_label":
        values = np.full(targets.values.shape, np.nan)
        for number, name in enumerate(targets.names):
            column = targets.values[train, number]
            names = (f"no {name}", name)
            drawn = train[few_shot_rows(column, subjects, wanted, seed * 1_000_003 + number, names)[shots]]
            values[drawn, number] = targets.values[drawn, number]
        return Targets(targets.task, values, targets.names)
    regression = targets.task == "regression"
    classes = quartiles(targets.values[train]) if regression else targets.values[train]
    names = ("first quarter", "second quarter", "third quarter", "last quarter") if regression else targets.names
    drawn = train[few_shot_rows(classes, subjects, wanted, seed, names)[shots]]
    values = np.full(targets.values.shape, np.nan if regression else -1)
    values[drawn] = targets.values[drawn]
    return Targets(targets.task, values if regression else values.astype(np.int64), targets.names)
