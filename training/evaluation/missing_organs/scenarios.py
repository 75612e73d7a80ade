"""Which organs a model gets to see of each test study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KINDS = ("all", "natural", "missing", "leave_one", "keep_one")
ALL = "all organs"
NATURAL = "natural pattern"


@dataclass(frozen=True, eq=False)
class Scenario:
    """One way of missing organs.

    Attributes:
        name: for the table.
        kept: organs that each study keeps, `(S, O)` bool; never one that it does not have, and at least one.
    """

    name: str
    kept: np.ndarray


def make_scenarios(
    present: np.ndarray, would_miss: np.ndarray, organs: Sequence[str], kinds: Sequence[str] = KINDS, seed: int = 0
) -> list[Scenario]:
    """Make the scenarios.

    Args:
        present: organs of each study, `(S, O)` bool.
        would_miss: organs that studies that are complete by design would have lacked, `(S, O)` bool.
        organs: names, `O`.
        kinds: of `KINDS`: `all`; `natural`, what would have been missing; `missing`, 1, 2, ... random organs of each
            study; `leave_one` and `keep_one`, by organ. A study always keeps one organ: what cannot be taken stays.
        seed: of the random organs.
    """
    order = np.random.default_rng((seed, 7)).random(present.shape)
    found: list[Scenario] = []
    if "all" in kinds:
        found.append(Scenario(ALL, present))
    if "natural" in kinds:
        found.append(Scenario(NATURAL, _keep_one(present & ~would_miss, present, order)))
    if "missing" in kinds:
        ranks = np.where(present, order, 2.0).argsort(axis=1).argsort(axis=1)
        for count in range(1, len(organs)):
            taken = _keep_one(present & (ranks >= count), present, -order)
            found.append(Scenario(f"{count} missing", taken))
    for number, name in enumerate(organs):
        own = np.arange(len(organs)) == number
        if "leave_one" in kinds:
            found.append(Scenario(f"without {name}", _keep_one(present & ~own, present, order)))
        if "keep_one" in kinds:
            found.append(Scenario(f"{name} alone", _keep_one(present & own, present, order)))
    return found


def _keep_one(kept: np.ndarray, present: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Give studies that would be left with nothing the one of their organs that comes first."""
    kept = kept.copy()
    nothing = ~kept.any(axis=1)
    first = np.where(present, order, np.inf).argmin(axis=1)
    kept[nothing, first[nothing]] = True
    return kept
