"""Findings as an entry of the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from medfm_core.organ_finding import STATES, OrganFinding

if TYPE_CHECKING:
    from medfm_core.cards import ModelCard
    from medfm_core.organ_encoding import EncodedOrgans


def findings_block(findings: Iterable[OrganFinding], encoded: EncodedOrgans, card: ModelCard) -> dict[str, Any]:
    """What the manifest says of findings: model, run, organ units, counts and every finding."""
    findings = tuple(findings)
    counts = Counter(f.state for f in findings)
    return {
        "model": {
            "id": card.id,
            "card_sha256": card.digest,
            "licence": card.licence,
            "weights": [{"file": w.file, "role": w.role, "sha256": card.sha256_of(w.role)} for w in card.weights],
        },
        "run": {
            "device": encoded.device,
            "precision": encoded.precision,
            "batch": encoded.batch,
            "seconds": round(encoded.seconds, 3),
        },
        "units": {unit.name: _without_empty(state=unit.state.value, reason=unit.reason) for unit in encoded.units},
        "counts": {state: counts[state] for state in STATES},
        "findings": [_entry(finding) for finding in findings],
    }


def _entry(f: OrganFinding) -> dict[str, Any]:
    return _without_empty(
        finding=f.name,
        organ=f.organ,
        side=f.side,
        state=f.state,
        score=_rounded(f.score),
        spread=None if f.spread is None else [_rounded(value) for value in f.spread],
        absent_below=f.absent_below,
        present_above=f.threshold,
        size_mm=f.size_mm,
        reason=f.reason,
    )


def _without_empty(**entries: Any) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value not in (None, "")}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
