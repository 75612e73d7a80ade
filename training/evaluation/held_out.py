"""Two prepared cohorts as one data source: what is learnt from, and what has been held out from everything."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import from_dict
from training.data.manifest import ManifestRow, TargetColumn
from training.data.volumes import Volumes
from training.data.volumes_config import VolumesConfig
from training.engine.draw import DrawKey
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.targets import cohort_of


@dataclass(frozen=True)
class WhereHeldOut:
    """Where the cohorts lie.

    Attributes:
        train_manifest, train_store: what is learnt from; its split `val` is for choices, all its other rows are
            trained on.
        test_manifest, test_store: what is judged on, whatever splits it has.
    """

    train_manifest: str
    train_store: str
    test_manifest: str
    test_store: str


class Joined:
    """Sources one after the other, as one.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = tuple(parts)
        self._ends = list(accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        """Items of all parts."""
        return self._ends[-1]

    @property
    def digest(self) -> str:
        """Changes when the samples of a part do; empty where one does not say."""
        found = [getattr(part, "digest", "") for part in self._parts]
        return hashlib.sha256("\n".join(found).encode()).hexdigest() if all(found) else ""

    def sample(self, item: int, key: DrawKey) -> dict[str, Any]:
        """One sample of the part that has the item."""
        number = bisect_right(self._ends, item)
        return self._parts[number].sample(item - (self._ends[number - 1] if number else 0), key)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The two cohorts as an encoder sees them.

    Attributes:
        source: their volumes, those to learn from first.
        rows: the row of each item; its split is `train`, `val` or `test`, and `test` is the held-out cohort.
        columns: target columns that both have.
    """

    source: Joined
    rows: tuple[ManifestRow, ...]
    columns: Mapping[str, TargetColumn]

    def cohort(self, target: str, classes: Sequence[str] = ()) -> Cohort:
        """The items with one target.

        Args:
            target: name of a column.
            classes: the only classes that count; the target of an item of another one is not known.

        Raises:
            InputError: there is no such column, a subject is in both cohorts, or a class is missing.
        """
        cohort = cohort_of(self.rows, self.columns, (target,))
        return replace(cohort, targets=_only(cohort.targets, classes)) if classes else cohort


def open_held_out(where: WhereHeldOut, data: Mapping[str, Any]) -> HeldOut:
    """Open both cohorts.

    Args:
        where: they lie.
        data: configuration of `volumes`, whose manifest and store are replaced.

    Raises:
        InputError: a manifest or store cannot be used, or the two disagree about a target.
    """
    places = ((where.train_manifest, where.train_store), (where.test_manifest, where.test_store))
    parts = [
        Volumes(from_dict(VolumesConfig, {**data, "manifest": manifest, "store": store}, "the data to probe on"))
        for manifest, store in places
    ]
    rows = [replace(row, split="val" if row.split == "val" else "train") for row in parts[0].rows]
    rows += [replace(row, split="test") for row in parts[1].rows]
    return HeldOut(Joined(parts), tuple(rows), joined_columns(parts[0].targets, parts[1].targets))


def joined_columns(one: Mapping[str, TargetColumn], other: Mapping[str, TargetColumn]) -> dict[str, TargetColumn]:
    """The target columns that two manifests have in common, with the categories of both.

    Raises:
        InputError: one of them holds numbers where the other has categories.
    """
    found = {}
    for name in one:
        if name not in other:
            continue
        kinds = (one[name].categories, other[name].categories)
        if bool(kinds[0]) != bool(kinds[1]):
            raise InputError(f"the target {name!r} holds numbers in one manifest and categories in the other",
                             "write them alike")  # fmt: skip
        found[name] = TargetColumn(name, tuple(sorted({*kinds[0], *kinds[1]})))
    return found


def _only(targets: Targets, classes: Sequence[str]) -> Targets:
    missing = [name for name in classes if name not in targets.names]
    if missing:
        raise InputError(f"the target {targets.name!r} never is {', '.join(missing)}", "leave that target out")
    table = np.full(len(targets.names) + 1, -1)  # the last place is that of the unknown, -1
    for number, name in enumerate(classes):
        table[targets.names.index(name)] = number
    return Targets("classification", table[targets.values], tuple(classes), targets.name)
