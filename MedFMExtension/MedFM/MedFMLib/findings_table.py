"""The findings as the panel lists them: by organ, filtered, searched, each with a sentence that says what it means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .results import Finding, Point, Result
from .signals import Signal

STATES = ("present", "uncertain", "absent", "not_assessable")
STATE_WORDS = {state: state.replace("_", " ") for state in STATES}
NOTICE = "Research use only, not a diagnosis."
_DASH = "\u2013"


@dataclass(frozen=True)
class FindingRow:
    """One line.

    Attributes:
        finding: its name in the catalogue.
        organ: its organ's name.
        label: what the reader sees.
        state: one of `STATES`.
        state_word: the same for readers.
        score: two decimals, or a dash.
        wording: what score and state mean, and what limits them; for the tool tip.
        centre_ras: where a click goes, mm; None where the organ has no place.
        saliency: map that a click shows; None where there is none.
    """

    finding: str
    organ: str
    label: str
    state: str
    state_word: str
    score: str
    wording: str
    centre_ras: Point | None
    saliency: Path | None


@dataclass(frozen=True)
class OrganGroup:
    """The lines of one organ, under its title and what is to be known of it."""

    organ: str
    title: str
    note: str
    rows: tuple[FindingRow, ...]


class FindingsTable:
    """Groups of a result's findings, as far as the filter and the search let them through.

    Attributes:
        changed: called when `groups()` may have changed.
        states: states that are listed.
        search: words that label, organ or state must hold, all of them.
    """

    def __init__(self) -> None:
        self.changed = Signal()
        self.states: frozenset[str] = frozenset(STATES) - {"not_assessable"}
        self.search = ""
        self._result: Result | None = None
        self._rows: tuple[tuple[str, str, FindingRow], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are in each state, whatever is listed."""
        return {state: sum(row.state == state for _, _, row in self._rows) for state in STATES}

    def show(self, result: Result | None) -> None:
        """List another result's findings; None for none."""
        self._result = result
        self._rows = () if result is None else tuple(_rows(result))
        self.changed.emit()

    def set_states(self, states: frozenset[str] | set[str]) -> None:
        """List only findings in these states."""
        self.states = frozenset(states) & set(STATES)
        self.changed.emit()

    def set_search(self, text: str) -> None:
        """List only findings that hold these words."""
        self.search = text
        self.changed.emit()

    def groups(self) -> tuple[OrganGroup, ...]:
        """What is listed: organs in the order of the result, in each the present and the highest scores first."""
        words = self.search.lower().split()
        listed: dict[str, list[FindingRow]] = {}
        titles: dict[str, tuple[str, str]] = {}
        for title, note, row in self._rows:
            text = f"{row.label} {title} {row.state_word} {row.finding}".lower()
            if row.state in self.states and all(word in text for word in words):
                listed.setdefault(row.organ, []).append(row)
                titles[row.organ] = title, note
        return tuple(OrganGroup(organ, *titles[organ], tuple(rows)) for organ, rows in listed.items())

    def row_of(self, finding: str, organ: str) -> FindingRow | None:
        """The line of a finding in an organ, listed or not."""
        return next((row for _, _, row in self._rows if (row.finding, row.organ) == (finding, organ)), None)


def _rows(result: Result) -> list[tuple[str, str, FindingRow]]:
    order = {organ: index for index, organ in enumerate(result.structures)}

    def rank(finding: Finding) -> tuple[int, str, int, float, str]:
        score = -1.0 if finding.score is None else finding.score
        place = order.get(finding.organ, len(order))
        return place, finding.organ, STATES.index(finding.state), -score, finding.label

    return [
        (result.title_of(f.organ), _note(result, f.organ), _row(result, f)) for f in sorted(result.findings, key=rank)
    ]


def _row(result: Result, finding: Finding) -> FindingRow:
    side = f" ({finding.side})" if finding.side else ""
    size = f", {finding.size_mm:.0f} mm" if finding.size_mm is not None else ""
    return FindingRow(
        finding.name,
        finding.organ,
        f"{finding.label}{side}{size}",
        finding.state,
        STATE_WORDS[finding.state],
        _DASH if finding.score is None else f"{finding.score:.2f}",
        wording_of(finding),
        result.centre_of(finding.organ),
        result.saliency.get((finding.name, finding.organ)),
    )


def _note(result: Result, organ: str) -> str:
    structure = result.structures.get(organ)
    if structure is None:
        return ""
    volume = "" if structure.volume_ml is None else f"{structure.volume_ml:,.0f} mL"
    return ", ".join(filter(None, (volume, "" if structure.state == "present" else structure.state.replace("_", " "))))


def wording_of(finding: Finding) -> str:
    """What a finding's state and score mean, in sentences that claim no more than was computed."""
    parts = []
    if finding.score is not None and finding.present_from is not None and finding.absent_below is not None:
        between = ", and what lies between uncertain" if finding.absent_below < finding.present_from else ""
        parts.append(
            f"The model scored {finding.score:.2f}; it calls {finding.present_from:.2f} and more present, less than "
            f"{finding.absent_below:.2f} absent{between}."
        )
    elif finding.score is not None:
        parts.append(f"The model scored {finding.score:.2f}, which is not calibrated and says nothing by itself.")
    if finding.spread is not None:
        parts.append(f"Single wordings scored {finding.spread[0]:.2f} to {finding.spread[1]:.2f}.")
    if finding.state == "not_assessable":
        parts.insert(0, "Not assessable; that does not mean that it is absent.")
    return " ".join(filter(None, (*parts, finding.reason, NOTICE)))
