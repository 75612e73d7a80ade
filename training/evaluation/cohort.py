"""Who is evaluated: subjects, studies, splits and what is to be told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medfm_core.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be told of each item.

    Attributes:
        task: `classification`, `multi_label`, `regression` or `survival`.
        values: class numbers `(N,)` with -1 for unknown; labels `(N, L)`, quantities `(N,)`, or times and events
            `(N, 2)` with NaN for unknown.
        names: of the classes or labels; of the quantity or the event, a single one.
        name: what all this is about, for headings.
    """

    task: str
    values: np.ndarray
    names: tuple[str, ...]
    name: str = "target"

    @property
    def known(self) -> np.ndarray:
        """Items of which something is known, `(N,)` bool."""
        if self.task == "survival":
            return np.isfinite(self.values).all(axis=1)
        known = np.isfinite(self.values) if self.task == "regression" else self.values >= 0
        return known.any(1) if known.ndim == 2 else known

    def take(self, rows: np.ndarray) -> Targets:
        """The targets of some items."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True, eq=False)
class Cohort:
    """The items of a data source, in its order.

    Attributes:
        subjects: subject of each item.
        studies: study of each item.
        splits: one of `SPLITS` for each item, or empty for those to leave out.
        targets: what is to be told.

    Raises:
        InputError: lengths differ, a split is not known, or a subject is in two splits.
    """

    subjects: tuple[str, ...]
    studies: tuple[str, ...]
    splits: tuple[str, ...]
    targets: Targets

    def __post_init__(self) -> None:
        lengths = {len(self.subjects), len(self.studies), len(self.splits), len(self.targets.values)}
        if len(lengths) != 1:
            raise InputError("subjects, studies, splits and targets differ in length", "give one of each per item")
        for split in sorted(set(self.splits) - {*SPLITS, ""}):
            raise InputError(f"the split {split!r} is not known", f"use {', '.join(SPLITS)}")
        check_leakage(self.subjects, self.splits)

    def __len__(self) -> int:
        return len(self.subjects)

    def rows(self, split: str, *, known: bool = True) -> np.ndarray:
        """Item numbers of a split, by default those of which the target is known."""
        inside = np.asarray(self.splits) == split
        return np.flatnonzero(inside & self.targets.known if known else inside)

    def subjects_of(self, rows: np.ndarray) -> tuple[str, ...]:
        """Subjects of some items."""
        return tuple(self.subjects[row] for row in rows)


def check_leakage(subjects: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a cohort in which a subject is in two splits.

    Raises:
        InputError: one is; how many, not who, is said.
    """
    found: dict[str, set[str]] = {}
    for subject, split in zip(subjects, splits, strict=True):
        if split:
            found.setdefault(subject, set()).add(split)
    torn = sum(len(places) > 1 for places in found.values())
    if torn:
        raise InputError(
            f"{torn} subject{'s are' if torn > 1 else ' is'} in more than one split, so that figures would be too good",
            "split the manifest by subject",
        )


def within_kinds(cohort: Cohort, kinds: Sequence[str | None]) -> dict[str, Cohort]:
    """The cohort once per kind of its items, with the target known within that kind alone.

    Args:
        cohort: whose target is asked for.
        kinds: of each item; None where it is of none.

    Returns:
        By kind, in alphabetical order; the items are the same in all.

    Raises:
        InputError: no item has a kind.
    """
    named = sorted({kind for kind in kinds if kind})
    if not named:
        raise InputError("no item is of a known kind", "name it in the manifest")
    unknown = np.nan if cohort.targets.values.dtype.kind == "f" else -1
    found = {}
    for kind in named:
        inside = np.array([one == kind for one in kinds])
        values = np.where(inside.reshape(-1, *[1] * (cohort.targets.values.ndim - 1)), cohort.targets.values, unknown)
        found[kind] = replace(cohort, targets=replace(cohort.targets, values=values))
    return found
