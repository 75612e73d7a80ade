"""From the target columns of a manifest to targets: what the task is, which classes there are, what is not known."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.manifest import ManifestRow, TargetColumn
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.event_targets import read_event

TASKS = ("classification", "multi_label", "regression")
MOST_CLASSES = 10
ROWS_PER_CLASS = 3


def cohort_of(
    rows: Sequence[ManifestRow], columns: Mapping[str, TargetColumn], wanted: Sequence[str], task: str | None = None
) -> Cohort:
    """Make the cohort of a data source's rows.

    Args:
        rows: in the order of the source's items, each with a split.
        columns: target columns of the manifest by name.
        wanted: names of target columns, or patterns such as `finding_*`; several make a multi-label task. Of a survival
            task, the name of an event.
        task: one of `TASKS`, or `survival`, see `read_event`; by default what the columns hold, see `read_targets`.

    Raises:
        InputError: a column is not there or cannot be read so, or a subject is in two splits.
    """
    if task == "survival":
        targets = read_event(rows, wanted)
    else:
        targets = read_targets(rows, [columns[name] for name in expand(wanted, columns)], task)
    return Cohort(
        tuple(row.subject for row in rows),
        tuple(row.study for row in rows),
        tuple(row.split or "" for row in rows),
        targets,
    )


def expand(wanted: Sequence[str], columns: Mapping[str, TargetColumn]) -> tuple[str, ...]:
    """Names of the columns that names and patterns mean, each once.

    Raises:
        InputError: one means none.
    """
    names: dict[str, None] = {}
    for name in wanted:
        found = [column for column in columns if fnmatch.fnmatchcase(column, name)]
        if not found:
            hint = "the manifest's targets are its columns target.NAME"
            raise InputError(unknown_name("target", name, columns), hint)
        names.update(dict.fromkeys(found))
    return tuple(names)


def read_targets(rows: Sequence[ManifestRow], columns: Sequence[TargetColumn], task: str | None = None) -> Targets:
    """Read columns as targets.

    Without a task, several columns are labels; categories are classes; and numbers are classes when they are whole, at
    most `MOST_CLASSES` different ones and each seen `ROWS_PER_CLASS` times on average, else quantities.

    Raises:
        InputError: the columns cannot be read so.
    """
    if task is not None and task not in TASKS:
        raise InputError(unknown_name("task", task, TASKS), "choose one of them")
    if len(columns) > 1 or task == "multi_label":
        if task not in (None, "multi_label"):
            raise InputError(f"{len(columns)} targets make no {task}", "name a single target, or leave --task out")
        return _labels(rows, columns)
    column = columns[0]
    values = [row.targets.get(column.name) for row in rows]
    if column.categories:
        if task == "regression":
            raise InputError(f"the target {column.name!r} holds categories, not quantities", "leave --task out")
        return _classes(column.name, [column.encode(value) for value in values], column.categories)
    numbers = np.array([column.encode(value) for value in values], dtype=np.float64)
    if (task or _guess(numbers)) == "regression":
        return Targets("regression", numbers, (column.name,), column.name)
    found = np.unique(numbers[np.isfinite(numbers)])
    place = {value: number for number, value in enumerate(found)}
    return _classes(column.name, [place.get(value, -1) for value in numbers], tuple(f"{value:g}" for value in found))


def _guess(numbers: np.ndarray) -> str:
    known = numbers[np.isfinite(numbers)]
    found = np.unique(known)
    few = len(found) <= min(MOST_CLASSES, len(known) / ROWS_PER_CLASS)
    whole = bool((known == np.round(known)).all() and (known >= 0).all())
    return "classification" if whole and (few or set(found) <= {0.0, 1.0}) else "regression"


def _classes(name: str, numbers: Sequence[float], names: tuple[str, ...]) -> Targets:
    shown = len({number for number in numbers if number >= 0})
    if shown < 2:
        raise InputError(f"the target {name!r} shows {shown or 'no'} class{'' if shown == 1 else 'es'}",
                         "choose a target with at least two")  # fmt: skip
    return Targets("classification", np.array(numbers, dtype=np.int64), names, name)


def _labels(rows: Sequence[ManifestRow], columns: Sequence[TargetColumn]) -> Targets:
    read = []
    for column in columns:
        values = np.array([column.encode(row.targets.get(column.name)) for row in rows], dtype=np.float64)
        if column.categories or not set(values[np.isfinite(values)]) <= {0.0, 1.0}:
            raise InputError(
                f"the label {column.name!r} holds something else than 0, 1 or nothing",
                "correct that column, or name a single target",
            )
        read.append(values)
    names = tuple(column.name for column in columns)
    return Targets("multi_label", np.stack(read, axis=1), names, ", ".join(names))
