"""A cohort's `manifest.csv`: the table from which `training.prepare` and training read virtual patients.

Targets are what is true of a patient and can be seen in the scan: `target.<kind>` is 1 or 0 for every kind of finding,
and empty where the scan shows none of the kind's organs, or was made in a contrast phase that does not show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from training.synthetic.lesions import KINDS

BASE = ("subject", "study", "path", "modality", "organs", "labels", "split", "text")
TARGETS = ("healthy", "lesions", "sex", "phase")
MANIFEST_COLUMNS = (*BASE, "info.region", "info.lesions", *(f"target.{name}" for name in (*TARGETS, *sorted(KINDS))))


def manifest_cells(row: Mapping[str, str], truth: Mapping[str, Any]) -> dict[str, object]:
    """One patient's row.

    Args:
        row: of `cohort.csv`.
        truth: of `truth.json`.
    """
    found = {finding["name"] for finding in truth["findings"]}
    lesions = {number for finding in truth["findings"] for number in finding["lesion_ids"]}
    cells: dict[str, object] = {name: row[name] for name in BASE}
    cells |= {"info.region": row["region"], "info.lesions": row["lesions"]}
    cells |= {
        "target.healthy": int(not found),
        "target.lesions": len(lesions),
        "target.sex": truth["parameters"]["physique"]["sex"],
        "target.phase": truth["phase"],
    }
    for name in KINDS:
        assessable = name in found or _assessable(name, truth["organs_ml"], truth["phase"])
        cells[f"target.{name}"] = int(name in found) if assessable else None
    return cells


def _assessable(name: str, organs: Iterable[str], phase: str) -> bool:
    kind = KINDS[name]
    if kind.phases and phase not in kind.phases:
        return False
    return not _organs_of(name).isdisjoint(organs)


@lru_cache(maxsize=256)
def _organs_of(name: str) -> frozenset[str]:
    """The single structures in which a kind of finding can be."""
    vocabulary = load_vocabulary()
    structures: set[str] = set()
    for organ in KINDS[name].organs:
        try:
            structures.update(vocabulary.expand(organ))
        except InputError:  # the name of a group
            structures.update(member.name for member in vocabulary.group(organ))
    return frozenset(structures)
