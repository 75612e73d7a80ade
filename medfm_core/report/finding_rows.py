"""The lines of the tables of findings, formatted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from medfm_core.anatomy import Vocabulary
from medfm_core.measurements import OrganMeasurement
from medfm_core.organ_finding import LOW, NOT_ASSESSABLE, PRESENT, STATES, UNCERTAIN, OrganFinding
from medfm_core.report.organ_cover import cut_note, members_of
from medfm_core.report.score_bar import ScoreBar, score_bar
from medfm_core.report.text import Place, place_of

STATE_WORDS = {state: state.replace("_", " ") for state in (PRESENT, UNCERTAIN, *STATES)}  # in a reader's order
WEAK_AUROC = 0.7
_DASH = "\u2013"


@dataclass(frozen=True)
class FindingRow:
    """A finding in an organ.

    Attributes:
        finding: what the row is about.
        place: its organ.
        cut: how the scan cuts the organ, "" where it does not.
        bar: the drawn score; None where there is none.
        evidence: how well the model told the finding in its validation, one sentence.
        auroc: the figure, "" where it is not known.
        cases: how many organs with and without the finding it was measured on, "" where it is not known.
        is_weak: whether the AUROC is below `WEAK_AUROC`.
        anchor: id of the figure with the finding's saliency map; "" where there is none.
    """

    finding: OrganFinding
    place: Place
    cut: str
    bar: ScoreBar | None
    evidence: str
    auroc: str
    cases: str
    is_weak: bool = False
    anchor: str = ""

    @property
    def state_word(self) -> str:
        """The state for readers."""
        return STATE_WORDS[self.finding.state]

    @property
    def score(self) -> str:
        """Two decimals; a dash where nothing was scored."""
        return _DASH if self.finding.score is None else f"{self.finding.score:.2f}"

    @property
    def spread(self) -> str:
        """Lowest and highest score over the wordings."""
        return "" if self.finding.spread is None else _DASH.join(f"{v:.2f}" for v in self.finding.spread)

    @property
    def why(self) -> str:
        """The finding's reason, without what the heading of low scores says."""
        return self.finding.reason.removeprefix(LOW).strip()

    @property
    def limits(self) -> str:
        """Both thresholds: absent below the first, present from the second."""
        limits = (self.finding.absent_below, self.finding.threshold)
        return _DASH if limits == (None, None) else " / ".join(_DASH if v is None else f"{v:.2f}" for v in limits)

    @property
    def size(self) -> str:
        """Largest diameter, "" where it was not measured."""
        return "" if self.finding.size_mm is None else f"{self.finding.size_mm:.0f} mm"


@dataclass(frozen=True)
class SystemRows:
    """The rows of one body system, and how many findings it has in each state: (state, word, number)."""

    heading: str
    rows: tuple[FindingRow, ...]
    counts: tuple[tuple[str, str, int], ...]

    @property
    def is_assessed(self) -> bool:
        """Whether anything could be said of one finding at least."""
        return any(state != NOT_ASSESSABLE for state, _, _ in self.counts)


@dataclass(frozen=True)
class ReasonRows:
    """Findings that cannot be assessed for one reason: per organ, its labels."""

    reason: str
    organs: tuple[tuple[str, tuple[str, ...]], ...]
    count: int


def make_rows(
    findings: Iterable[OrganFinding],
    measured: Mapping[str, OrganMeasurement],
    calibration: Mapping[str, Any],
    vocabulary: Vocabulary,
) -> list[FindingRow]:
    """Format findings, organ by organ in the order of a report, in each the present and the highest scores first.

    Args:
        findings: in any order.
        measured: the scan's measurements by name.
        calibration: by finding, with `auroc`, `positives`, `negatives` and `on`, as far as they are known.
        vocabulary: the organs.
    """
    states = list(STATE_WORDS)
    rows = []
    for finding in findings:
        place = place_of(finding, vocabulary)
        cut = cut_note(members_of(place.organ, measured, vocabulary))
        rows.append(FindingRow(finding, place, cut, score_bar(finding), *_validation(calibration.get(finding.name))))
    return sorted(rows, key=lambda row: (row.place.rank, states.index(row.finding.state), *_falling(row.finding)))


def by_system(
    rows: Sequence[FindingRow], counted: Sequence[FindingRow], vocabulary: Vocabulary
) -> tuple[SystemRows, ...]:
    """Put rows under the headings of their systems.

    Args:
        rows: those to list.
        counted: those to count; systems with none are left out.
        vocabulary: the headings.
    """
    systems = []
    for system, members in groupby(counted, key=lambda row: row.place.system):
        states = [row.finding.state for row in members]
        counts = tuple((s, word, states.count(s)) for s, word in STATE_WORDS.items() if s in states)
        mine = tuple(row for row in rows if row.place.system == system)
        systems.append(SystemRows(vocabulary.systems.get(system, system.capitalize()), mine, counts))
    return tuple(systems)


def by_reason(rows: Iterable[FindingRow]) -> tuple[ReasonRows, ...]:
    """Gather what cannot be assessed by its reason, the most frequent first."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if row.finding.state == NOT_ASSESSABLE:
            organs = reasons.setdefault(row.finding.reason or "No reason was given.", {})
            organs.setdefault(row.place.title, []).append(row.finding.label)
    made = [
        ReasonRows(reason, tuple((o, tuple(labels)) for o, labels in organs.items()), sum(map(len, organs.values())))
        for reason, organs in reasons.items()
    ]
    return tuple(sorted(made, key=lambda group: -group.count))


def _falling(finding: OrganFinding) -> tuple[float, str]:
    return (1.0 if finding.score is None else -finding.score, finding.label)


def _validation(calibration: Any) -> tuple[str, str, str, bool]:
    """Sentence, AUROC and cases of a finding's calibration, and whether the AUROC is weak."""
    auroc = getattr(calibration, "auroc", None)
    if auroc is None:
        return "How well this model tells this finding was not measured.", "", "", False
    with_it, without = calibration.positives, calibration.negatives
    cases = "" if with_it is None or without is None else f"{with_it} / {without}"
    organs = f", {with_it} organs with and {without} without the finding" if cases else ""
    return f"AUROC {auroc:.2f} on {calibration.on}{organs}.", f"{auroc:.2f}", cases, round(auroc, 2) < WEAK_AUROC
