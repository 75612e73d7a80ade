"""Who trains and who is only looked at: splits of subjects that depend on names and seed alone.

A subject's place comes from a hash of (seed, subject), so neither the order of a manifest nor the machine matters, and
all volumes of a subject stay together.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.manifest import SPLITS, Manifest, ManifestRow, problem_list
from training.data.manifest_checks import same_content, split_problems


@dataclass(frozen=True)
class Fractions:
    """Shares of the subjects in train, val and test; they sum to 1.

    Raises:
        InputError: a negative share, or another sum.
    """

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = self.train, self.val, self.test
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise InputError(f"the fractions {shares} are no split", "give three shares that sum to 1")

    @property
    def limits(self) -> np.ndarray:
        """Upper end of each split's part of [0, 1), `(3,)`."""
        return np.cumsum([self.train, self.val, self.test])


def place_of(subject: str, seed: int) -> float:
    """A subject's fixed place in [0, 1)."""
    digest = hashlib.sha256(f"{seed}\n{subject}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_subjects(
    subjects: Iterable[str],
    seed: int = 0,
    fractions: Fractions | None = None,
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Give each subject a split.

    Without strata a subject's split depends on nothing but its name, so subjects added later move nobody; the shares
    are met on average. With strata each stratum is cut at the shares in the order of the places: the shares are met as
    nearly as whole subjects can, and subjects added later may move others.

    Args:
        subjects: names.
        seed: another seed, another split.
        fractions: shares; by default 0.8, 0.1 and 0.1.
        strata: stratum of each subject, e.g. from `strata_of`.

    Returns:
        "train", "val" or "test" by subject.
    """
    names = tuple(dict.fromkeys(subjects))
    limits = (fractions or Fractions()).limits
    if strata is None:
        return {name: _split_at(place_of(name, seed), limits) for name in names}
    split: dict[str, str] = {}
    order = [name for group in _groups(names, seed, strata) for name in group]
    # One cut through all strata in a row: each gets its shares, and rounding does not add up over small strata.
    counts = np.zeros(len(SPLITS))
    for number, name in enumerate(order, start=1):
        wanted = np.diff(limits, prepend=0) * number
        chosen = int(np.argmax(wanted - counts))
        counts[chosen] += 1
        split[name] = SPLITS[chosen]
    return {name: split[name] for name in names}


def fold_subjects(
    subjects: Iterable[str], folds: int, seed: int = 0, strata: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Give each subject the number of the fold, 0 to `folds` - 1, in which it is held out; folds differ by one at most.

    Raises:
        InputError: fewer than two folds, or more folds than subjects.
    """
    names = tuple(dict.fromkeys(subjects))
    if not 2 <= folds <= len(names):
        raise InputError(f"{folds} folds of {len(names)} subjects are impossible", "give 2 up to one per subject")
    order = [name for group in _groups(names, seed, strata or {}) for name in group]
    fold = {name: number % folds for number, name in enumerate(order)}
    return {name: fold[name] for name in names}


def leave_one_out(subjects: Iterable[str]) -> dict[str, int]:
    """A fold for each subject: it is held out alone. Folds are numbered by name.

    Raises:
        InputError: fewer than two subjects.
    """
    names = tuple(dict.fromkeys(subjects))
    if len(names) < 2:
        raise InputError(f"{len(names)} subject cannot be left out and trained on", "give at least two subjects")
    number = {name: index for index, name in enumerate(sorted(names))}
    return {name: number[name] for name in names}


def held_out(folds: Mapping[str, int], fold: int) -> dict[str, str]:
    """The split of one fold: its subjects are `val`, all others `train`.

    Raises:
        InputError: there is no such fold.
    """
    if fold not in folds.values():
        raise InputError(f"there is no fold {fold}", f"give 0 to {max(folds.values())}")
    return {name: "val" if number == fold else "train" for name, number in folds.items()}


def strata_of(manifest: Manifest, target: str, bins: int = 4) -> dict[str, str]:
    """Sort subjects by a target column, for splits in which it is equally frequent.

    Args:
        manifest: rows with targets.
        target: name of the column without `target.`.
        bins: numbers of more than this many different values are cut into so many groups of equal size.

    Returns:
        A stratum per subject: its value or bin; its different values where its rows differ; "missing".

    Raises:
        InputError: there is no such column.
    """
    if target not in manifest.targets:
        raise InputError(unknown_name("target", target, manifest.targets))
    rows = [row for row in manifest.rows if row.targets[target] is not None]
    values = [row.targets[target] for row in rows]
    if not manifest.targets[target].categories and len(set(values)) > bins:
        inner = np.quantile(np.array(values, dtype=float), np.arange(1, bins) / bins)
        values = [int(np.searchsorted(inner, value, side="right")) for value in values]
    found = defaultdict(set)
    for row, value in zip(rows, values, strict=True):
        found[row.subject].add(str(value))
    return {name: "+".join(sorted(found[name])) if name in found else "missing" for name in manifest.subjects}


def with_splits(manifest: Manifest, split: Mapping[str, str]) -> Manifest:
    """The manifest with each row in its subject's split."""
    rows = tuple(replace(row, split=split[row.subject]) for row in manifest.rows)
    return replace(manifest, rows=rows)


def ensure_splits(manifest: Manifest, seed: int = 0, fractions: Fractions | None = None) -> Manifest:
    """The manifest itself if it has splits, else split by `split_subjects`."""
    return (
        manifest if manifest.has_splits else with_splits(manifest, split_subjects(manifest.subjects, seed, fractions))
    )


def check_leakage(manifest: Manifest, contents: Mapping[tuple[str, ...], str] | None = None) -> None:
    """Refuse a manifest in which anything is in two splits.

    Args:
        manifest: rows with splits.
        contents: hash of the image of each row, by its identity, where known.

    Raises:
        InputError: a subject is in two splits, or two rows hold the same image.
    """
    problems = split_problems((row.number, row.subject, row.split) for row in manifest.rows)
    known: list[tuple[ManifestRow, str]] = []
    if contents:
        known = [(row, contents[row.identity]) for row in manifest.rows if row.identity in contents]
    problems += same_content(known)
    if problems:
        raise problem_list(manifest.path, problems)


def _split_at(place: float, limits: Sequence[float]) -> str:
    return SPLITS[min(int(np.searchsorted(limits, place, side="right")), len(SPLITS) - 1)]


def _groups(names: Sequence[str], seed: int, strata: Mapping[str, str]) -> list[list[str]]:
    """Subjects by stratum, each group in the order of the places."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=lambda name: (place_of(name, seed), name)):
        groups[strata.get(name, "")].append(name)
    return [groups[key] for key in sorted(groups)]
