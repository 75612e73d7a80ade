"""The scans of each study side by side, told apart by their sequence, with one class for the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.evaluation.cohort import Cohort, Targets

MOST_SEQUENCES = 5  # of which there are 31 sets


@dataclass(frozen=True, eq=False)
class StudyScans:
    """Studies and their scans.

    Attributes:
        cohort: an item per study.
        sequences: M, in the order of the columns.
        scans: which scan of the data source each is, `(S, M)` int64; -1 where a study lacks it.
        left_out: scans that were not taken, since their study has another one of the sequence.
    """

    cohort: Cohort
    sequences: tuple[str, ...]
    scans: np.ndarray
    left_out: int = 0

    @property
    def present(self) -> Tensor:
        """Which sequences a study has, `(S, M)` bool."""
        return torch.from_numpy(self.scans >= 0)

    def tokens(self, features: Tensor) -> Tensor:
        """Tokens of the scans `(R, N, F)` as those of the studies, `(S, M, N, F)`; 0 where missing.

        Raises:
            InputError: they are not those of these scans, or not finite.
        """
        if features.ndim != 3 or len(features) <= self.scans.max():
            raise InputError(f"features {tuple(features.shape)} do not fit the scans", "encode the same items")
        found = features.new_zeros(*self.scans.shape, *features.shape[1:])
        found[self.present] = features[torch.from_numpy(self.scans[self.scans >= 0])]
        if not bool(torch.isfinite(found).all()):
            raise InputError("tokens are not finite", "the encoder's training diverged; choose an earlier checkpoint")
        return found

    def complete(self, rows: np.ndarray) -> np.ndarray:
        """Those of some studies that have all sequences."""
        return rows[(self.scans[rows] >= 0).all(axis=1)]

    def sets(self) -> list[tuple[str, ...]]:
        """All sets of sequences that can be left, the largest first."""
        sizes = range(len(self.sequences), 0, -1)
        return [chosen for size in sizes for chosen in combinations(self.sequences, size)]

    def only(self, given: Sequence[str]) -> Tensor:
        """What would be there if every study had some sequences at most, `(S, M)` bool."""
        return self.present & torch.tensor([name in given for name in self.sequences])


def group_scans(cohort: Cohort, sequences: Sequence[str], wanted: Sequence[str] = ()) -> StudyScans:
    """Find the scans of each study.

    Args:
        cohort: of the scans, with classes.
        sequences: of each scan.
        wanted: the sequences to use, in this order; by default all, in the order in which they appear.

    Returns:
        The studies in the order of their first scan. Of two scans of one sequence the first is taken.

    Raises:
        InputError: the target holds no classes or differs between the scans of a study, or there are fewer than two
            sequences, or too many.
    """
    if cohort.targets.task != "classification":
        what = "several labels" if cohort.targets.task == "multi_label" else "a quantity"
        raise InputError(f"a fusion tells classes, but {cohort.targets.name!r} is {what}", "name a target of classes")
    known = tuple(dict.fromkeys(sequences))
    wanted = tuple(dict.fromkeys(wanted)) or known
    for name in wanted:
        if name not in known:
            raise InputError(unknown_name("sequence", name, known), "name those of the manifest's column sequence")
    if not 2 <= len(wanted) <= MOST_SEQUENCES:
        raise InputError(
            f"a fusion needs 2 to {MOST_SEQUENCES} sequences, not {len(wanted)} ({', '.join(wanted)})",
            "tell the scans of a study apart in the manifest's column sequence, and choose by --sequence",
        )
    keys = list(zip(cohort.subjects, cohort.studies, strict=True))
    used = [row for row, name in enumerate(sequences) if name in wanted]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys[row] for row in used))}
    scans = np.full((len(numbers), len(wanted)), -1)
    for row in reversed(used):  # so that the first one stays
        scans[numbers[keys[row]], wanted.index(sequences[row])] = row
    first = [scans[number][scans[number] >= 0].min() for number in range(len(scans))]
    studies = Cohort(
        tuple(cohort.subjects[row] for row in first),
        tuple(cohort.studies[row] for row in first),
        tuple(cohort.splits[row] for row in first),
        _of_studies(cohort.targets, scans),
    )
    return StudyScans(studies, wanted, scans, len(used) - int((scans >= 0).sum()))


def _of_studies(targets: Targets, scans: np.ndarray) -> Targets:
    """The class of each study: what those of its scans say that say something."""
    values = np.where(scans >= 0, targets.values[scans], -1)
    highest = values.max(axis=1)
    torn = int(((values >= 0) & (values != highest[:, None])).any(axis=1).sum())
    if torn:
        raise InputError(
            f"the target {targets.name!r} differs between the scans of {torn} of {len(scans)} studies",
            "name one that holds for whole studies, or give the scans studies of their own",
        )
    return Targets(targets.task, highest, targets.names, targets.name)
