"""Few labelled examples per class: balanced, drawn by a seed, and each subset inside the next larger one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medfm_core.errors import InputError


def few_shot_rows(
    classes: np.ndarray, subjects: Sequence[str], shots: Sequence[int], seed: int, names: Sequence[str] | None = None
) -> dict[int, np.ndarray]:
    """Draw k rows of every class for each k.

    The rows of a class are put in one random order and the first k are taken, so that one shot is part of five. Rows of
    subjects not yet drawn for the class come first: k shots are k subjects where there are as many.

    Args:
        classes: class of each row, `(N,)`; -1 or NaN for rows that must not be drawn.
        subjects: subject of each row.
        shots: the numbers k.
        seed: decides the order.
        names: of the classes, for messages; every one of them must have rows. By default the classes that are there.

    Returns:
        Row numbers by k, sorted, `(k * classes,)` each.

    Raises:
        InputError: a k is not positive, or a class has fewer rows.
    """
    if not shots or min(shots) < 1:
        raise InputError("the numbers of shots must be 1 or more", "give numbers such as 1,5,16")
    known = np.asarray(classes) >= 0
    values = np.unique(np.asarray(classes)[known]).astype(int) if names is None else np.arange(len(names))
    orders = [_order(np.flatnonzero(np.asarray(classes) == value), subjects, (seed, int(value))) for value in values]
    for value, order in zip(values, orders, strict=True):
        if len(order) < max(shots):
            name = value if names is None else names[value]
            raise InputError(f"{max(shots)} shots are asked for, but class {name!r} has {len(order)} rows",
                             "ask for fewer shots, or add labelled rows")  # fmt: skip
    if not orders:
        raise InputError("no row has a known class", "check the target column")
    return {k: np.sort(np.concatenate([order[:k] for order in orders])) for k in sorted(set(shots))}


def quartiles(values: np.ndarray) -> np.ndarray:
    """Quarter of its distribution that each value lies in, as a class of `few_shot_rows` for regression.

    Args:
        values: `(N,)`; NaN for unknown.

    Returns:
        `(N,)` int, 0 to 3; -1 where the value is not known.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), -1)
    edges = np.quantile(values[known], (0.25, 0.5, 0.75))
    return np.where(known, np.searchsorted(edges, np.where(known, values, 0), side="left"), -1)


def _order(rows: np.ndarray, subjects: Sequence[str], seed: tuple[int, int]) -> np.ndarray:
    shuffled = np.random.default_rng(seed).permutation(rows)
    seen: dict[str, int] = {}
    turns = []
    for row in shuffled:
        turns.append(seen.get(subjects[row], 0))
        seen[subjects[row]] = turns[-1] + 1
    return shuffled[np.argsort(turns, kind="stable")]
