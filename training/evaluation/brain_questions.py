"""What is asked of brain encoders: targets of virtual heads, each within one sequence or across all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.evaluation.cohort import Cohort, within_kinds

if TYPE_CHECKING:
    from training.evaluation.held_out import HeldOut

TARGETS = ("lesion", "side", "atrophy", "sequence", "age")
_ONE_SIDED = {"side": ("left", "right")}  # heads with lesions on both sides, or none, have no side to tell
_SIDES = ("side",)  # what mirroring would make wrong
_ACROSS = ("sequence",)  # what only several sequences together can ask


@dataclass(frozen=True, eq=False)
class Questions:
    """The targets as cohorts of the same items.

    Attributes:
        cohorts: one per target, or one per target and sequence, by name.
        columns: the names of each target's cohorts, by target.
        mirrored: names of the cohorts whose target stays true in a mirrored scan.
    """

    cohorts: Mapping[str, Cohort]
    columns: Mapping[str, tuple[str, ...]]
    mirrored: frozenset[str]


def ask(held_out: HeldOut, targets: Sequence[str], *, across: bool = False) -> Questions:
    """The cohorts of some targets.

    The same tissue is bright in one sequence and dark in another, so that what tells a target in one misleads in the
    next: by default every sequence has probes of its own, as studies report them.

    Args:
        held_out: the scans.
        targets: names of target columns.
        across: ask every target of all sequences together.

    Raises:
        InputError: there is no such column, a class is missing, or no row names its sequence.
    """
    cohorts: dict[str, Cohort] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for target in targets:
        whole = held_out.cohort(target, _ONE_SIDED.get(target, ()))
        parts = {target: whole}
        if not across and target not in _ACROSS:
            kinds = within_kinds(whole, [row.sequence for row in held_out.rows])
            parts = {f"{target}, {kind}": cohort for kind, cohort in kinds.items()}
        cohorts |= parts
        columns[target] = tuple(parts)
    mirrored = frozenset(name for target, names in columns.items() if target not in _SIDES for name in names)
    return Questions(cohorts, columns, mirrored)
