"""Findings of a scan: every entry of the catalogue in every organ, called present, absent, uncertain or not assessable.

An organ embedding is compared with sentences that say that the finding is there and that it is not
(`medfm_core.finding_scores`); the card's calibration turns the score into a state. What cannot be said is not scored 0:
it is not assessable, and the reason stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medfm_core import organ_absence
from medfm_core.anatomy import FindingKind
from medfm_core.card_inputs import WHOLE_SCAN
from medfm_core.card_parts import Calibration
from medfm_core.embedding import OrganEmbedding, StudyEmbedding
from medfm_core.finding_places import Place, places_of, side_of, title_of
from medfm_core.finding_scores import SectionScore, best_section
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_finding import ABSENT, LOW, NOT_ASSESSABLE, PRESENT, UNCERTAIN, OrganFinding
from medfm_core.organ_units import OrganUnit
from medfm_core.volume import Volume
from medfm_core.whole_scan import unit_for

NOT_CALIBRATED = "The weights in use are not calibrated for this finding."
NOT_ASKED = "The findings model is not asked about it."
NO_UNIT = "The findings model does not look at: {}."
NOT_ENCODED = "The organ was left out of this run."
_GONE = {
    State.OUTSIDE: "The organ is not in the scan.",
    State.ABSENT: "The organ was not found in the scan.",
    State.NOT_COVERED: "The organ model does not outline this organ.",
}


class Wordings(Protocol):
    """What a findings model knows of sentences: `medfm_core.findings_model.Sentences` is one.

    Attributes:
        scale: what similarities are multiplied with before the softmax.
    """

    scale: float

    def wordings(self, finding: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Embeddings of positive and negative wordings, `(P, E)` and `(N, E)`; None where there are none."""


@dataclass(frozen=True, eq=False)
class StudyFacts:
    """What is known of one scan.

    Attributes:
        units: every organ unit of the model, and whether the scan shows it.
        embedding: of those that it shows.
        measurements: of the scan.
        labels: the label map that was measured; without it nothing is said of missing organs.
    """

    units: tuple[OrganUnit, ...]
    embedding: StudyEmbedding
    measurements: tuple[OrganMeasurement, ...] = ()
    labels: Volume | None = None


def assess_findings(
    catalogue: Iterable[FindingKind], facts: StudyFacts, model: Wordings, calibrations: Mapping[str, Calibration]
) -> tuple[OrganFinding, ...]:
    """Assess every finding of the catalogue in every organ where it is looked for.

    Args:
        catalogue: the findings, in the order of the result.
        facts: the scan.
        model: sentences and scale.
        calibrations: the card's `findings`.

    Returns:
        One per finding and place, in the catalogue's order.
    """
    found: list[OrganFinding] = []
    for kind in catalogue:
        if kind.name in organ_absence.NAMES:
            if facts.labels is not None:
                found.extend(organ_absence.assess_absence(kind, facts.measurements, facts.labels))
            continue
        wordings = model.wordings(kind.name)
        for place in places_of(kind, _bearing_on(kind, facts)):
            best = None if wordings is None else best_section(_sections(place, facts.embedding), wordings, model.scale)
            lacking = NOT_ASKED if wordings is None else NOT_CALIBRATED
            found.append(_finding(kind, place, best, calibrations.get(kind.name), lacking))
    return tuple(found)


def _bearing_on(kind: FindingKind, facts: StudyFacts) -> tuple[OrganUnit, ...]:
    """The units, of which one of the whole scan counts only where the scan shows an organ of the finding."""
    return tuple(unit_for(unit, kind, facts.measurements) if unit.name == WHOLE_SCAN else unit for unit in facts.units)


def _sections(place: Place, embedding: StudyEmbedding) -> list[OrganEmbedding]:
    return [section for unit in place.units if unit.is_seen for section in embedding.sections(unit.name)]


def _finding(
    kind: FindingKind, place: Place, best: SectionScore | None, calibration: Calibration | None, lacking: str
) -> OrganFinding:
    state, reason = _judge(kind, place, best, calibration, lacking)
    score, spread = (None, None) if best is None else (best.wording.score, best.wording.spread)
    low, high = (None, None) if calibration is None else (calibration.absent_below, calibration.present_above)
    return OrganFinding(
        kind.name, kind.label, place.organ, state, side_of(place.organ),
        score=score, spread=spread, absent_below=low, threshold=high, reason=reason,
    )  # fmt: skip


def _judge(
    kind: FindingKind, place: Place, best: SectionScore | None, calibration: Calibration | None, lacking: str
) -> tuple[str, str]:
    """State and reason; that the organ is not there is said before what the weights lack, `lacking`."""
    if not any(unit.is_seen for unit in place.units):
        return NOT_ASSESSABLE, why_gone(place)
    if calibration is None:
        return NOT_ASSESSABLE, lacking
    if best is None:
        return NOT_ASSESSABLE, NOT_ENCODED
    limits, partial = _limits(place)
    state = state_of(best.wording.score, calibration)
    if state == ABSENT and partial:
        return UNCERTAIN, f"{LOW} {limits}".strip()
    if state == ABSENT and kind.phases:
        phases = ", ".join(phase.replace("_", " ") for phase in kind.phases)
        limits = f"{limits} It shows only in some contrast phases ({phases}); that of the scan is not known.".strip()
    return state, limits


def state_of(score: float, calibration: Calibration) -> str:
    """Present, absent, or uncertain between the two thresholds."""
    if score >= calibration.present_above:
        return PRESENT
    return ABSENT if score < calibration.absent_below else UNCERTAIN


def why_gone(place: Place) -> str:
    """Why none of the units of a place is there, a sentence or two."""
    if not place.units:
        return NO_UNIT.format(", ".join(place.lacking))
    states = [unit.state for unit in place.units]
    state = next(state for state in _GONE if state in states)
    reasons = dict.fromkeys(unit.reason for unit in place.units if unit.state is state and unit.reason)
    return " ".join([_GONE[state], *reasons])


def _limits(place: Place) -> tuple[str, bool]:
    """What limits the answer, and whether a part of the organ was not looked at."""
    seen = [unit for unit in place.units if unit.is_seen]
    gone = [unit for unit in place.units if not unit.is_seen]
    sentences = [f"Looked at as part of: {title_of(seen[0].name)}."] if place.within else []
    sentences += _reasons(seen)
    if any(unit.state is State.OUTSIDE for unit in gone):
        sentences.append("Part of the organ is outside the scan.")
    if gone or place.lacking:
        sentences.append(f"Without: {', '.join([*(title_of(unit.name) for unit in gone), *place.lacking])}.")
    partial = bool(place.lacking) or any(unit.state is State.CUT for unit in seen)
    partial = partial or any(unit.state is not State.ABSENT for unit in gone)
    return " ".join(dict.fromkeys(sentences)), partial


def _reasons(seen: Sequence[OrganUnit]) -> list[str]:
    """The units' reasons: said of the organ where all share one, else of the parts that it is true of."""
    told: dict[str, list[OrganUnit]] = {}
    for unit in seen:
        if unit.reason:
            told.setdefault(unit.reason, []).append(unit)
    return [_reason(reason, units, len(units) == len(seen)) for reason, units in told.items()]


def _reason(reason: str, units: Sequence[OrganUnit], is_all: bool) -> str:
    if is_all:
        return reason.replace("Part of it is", "Part of the organ is")
    if len(units) > 1:
        reason = reason.replace("Part of it is", "Part of each is")
    return f"{', '.join(title_of(unit.name) for unit in units)}: {reason[0].lower()}{reason[1:]}"
