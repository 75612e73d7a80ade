"""What the page says of findings: tables, figures, and the report text composed from the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medfm_core.analysis import Analysis
from medfm_core.anatomy import Vocabulary, load_vocabulary
from medfm_core.measurements import OrganMeasurement
from medfm_core.organ_finding import ABSENT, NOT_ASSESSABLE, PRESENT, UNCERTAIN
from medfm_core.report.finding_rows import (
    STATE_WORDS,
    WEAK_AUROC,
    FindingRow,
    ReasonRows,
    SystemRows,
    by_reason,
    by_system,
    make_rows,
)
from medfm_core.report.organ_cover import members_of, not_whole
from medfm_core.report.saliency_figures import MOST_FIGURES, SaliencyFigure, label_numbers, saliency_figure
from medfm_core.report.text import compose_report
from medfm_core.saliency_result import SaliencyResult

_NO_CARD = "the findings model"


@dataclass(frozen=True)
class FindingsSection:
    """Everything that the page shows of findings.

    Attributes:
        model: id of the findings card.
        megabytes: size of its network; None without a card.
        counts: (state, word, number) over all findings and organs.
        kinds: how many different findings were asked for.
        assessed: how many of these were assessed in one organ at least.
        organs: in how many organs.
        notable: what is present, and what is uncertain between its thresholds, by system.
        quiet: systems that were assessed, with nothing notable; no rows, but their counts.
        low: what scores low in organs of which a part was not looked at, and is not called absent for that, by system.
        unassessed: systems in which nothing could be assessed.
        absent: what is absent, by system.
        not_assessable: by reason.
        validation: one row per assessed finding, (label, calibration or None).
        measured_on: the data that thresholds and AUROC come from.
        told_size: whether the network is told of the organ's size beside the picture, which no map shows.
        limits: what the card says that the model cannot do, the most important first; empty without a card.
        not_whole: organs that the scan does not show whole, by what is the matter.
        figures: (row, figure) of what is present, the highest above its threshold first.
        left_out: how many maps of present findings are not drawn.
        text: the composed report.
        weak_auroc: below it an AUROC is marked as weak.
    """

    model: str
    megabytes: float | None
    counts: tuple[tuple[str, str, int], ...]
    kinds: int
    assessed: int
    organs: int
    notable: tuple[SystemRows, ...]
    quiet: tuple[SystemRows, ...]
    unassessed: tuple[SystemRows, ...]
    low: tuple[SystemRows, ...]
    absent: tuple[SystemRows, ...]
    not_assessable: tuple[ReasonRows, ...]
    validation: tuple[tuple[str, Any], ...]
    measured_on: tuple[str, ...]
    told_size: bool
    limits: tuple[str, ...]
    not_whole: list[tuple[str, list[str]]]
    figures: tuple[tuple[FindingRow, SaliencyFigure], ...]
    left_out: int
    text: str
    weak_auroc: float = WEAK_AUROC


def findings_section(analysis: Analysis) -> FindingsSection | None:
    """Gather what is to be shown; None where the analysis looked for no findings.

    Args:
        analysis: finished. `findings` (of `OrganFinding`), `findings_card` (a card with `findings`, name to
            calibration) and `saliency` (of `SaliencyResult`) are read where it has them.

    Raises:
        InputError: a finding stands twice for one organ, or a map is negative or not finite.
    """
    findings = getattr(analysis, "findings", ())
    if not findings:
        return None
    vocabulary, measured = load_vocabulary(), {m.name: m for m in analysis.measurements}
    card = getattr(analysis, "findings_card", None)
    calibration = getattr(card, "findings", None) or {}
    rows = make_rows(findings, measured, calibration, vocabulary)
    figures, left_out = _figures(rows, analysis, measured, vocabulary)
    rows = _linked(rows, figures)
    scored = [row for row in rows if row.finding.state != NOT_ASSESSABLE]
    low = [row for row in rows if row.finding.is_low]
    notable = [row for row in rows if row.finding.state in (PRESENT, UNCERTAIN) and not row.finding.is_low]
    systems = by_system(notable, rows, vocabulary)
    absent = [row for row in rows if row.finding.state == ABSENT]
    model = _NO_CARD if card is None else card.id
    return FindingsSection(
        model=model,
        megabytes=None if card is None else sum(f.bytes or 0 for f in card.weights if f.role == "weights") / 1e6,
        counts=_counts(rows),
        kinds=len({row.finding.name for row in rows}),
        assessed=len({row.finding.name for row in scored}),
        organs=len({row.place for row in scored}),
        notable=tuple(system for system in systems if system.rows),
        quiet=tuple(system for system in systems if not system.rows and system.is_assessed),
        unassessed=tuple(system for system in systems if not system.is_assessed),
        low=by_system(low, low, vocabulary),
        absent=by_system(absent, absent, vocabulary),
        not_assessable=by_reason(rows),
        validation=_validation(scored, calibration),
        measured_on=_measured_on(scored, calibration),
        told_size=card is not None and bool(card.architecture.options.get("organ_size")),
        limits=() if card is None else tuple(card.limits),
        not_whole=not_whole({row.place for row in rows}, measured, vocabulary),
        figures=figures,
        left_out=left_out,
        text=compose_report(findings, analysis.measurements, model),
    )


def _counts(rows: Sequence[FindingRow]) -> tuple[tuple[str, str, int], ...]:
    states = [row.finding.state for row in rows]
    return tuple((state, word, states.count(state)) for state, word in STATE_WORDS.items())


def _measured_on(scored: Sequence[FindingRow], calibration: Mapping[str, Any]) -> tuple[str, ...]:
    names = (row.finding.name for row in scored)
    return tuple(dict.fromkeys(calibration[name].on for name in names if name in calibration))


def _validation(scored: Sequence[FindingRow], calibration: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    labels = {row.finding.name: row.finding.label for row in scored}
    return tuple((labels[name], calibration.get(name)) for name in sorted(labels, key=labels.__getitem__))


def _key(made: Any, name: str) -> tuple[str, str, str | None]:
    return name, made.organ, made.side


def _figures(
    rows: Sequence[FindingRow],
    analysis: Analysis,
    measured: Mapping[str, OrganMeasurement],
    vocabulary: Vocabulary,
) -> tuple[tuple[tuple[FindingRow, SaliencyFigure], ...], int]:
    """Draw the maps of what is present, as many as a page takes; and how many more there are."""
    maps: dict[Any, SaliencyResult] = {_key(m, m.finding): m for m in getattr(analysis, "saliency", ())}
    there = [row for row in rows if row.finding.state == PRESENT and _key(row.finding, row.finding.name) in maps]
    there.sort(key=lambda row: (row.finding.threshold or 0.0) - (row.finding.score or 0.0))
    labels = None if analysis.segmentation is None else analysis.segmentation.labels
    drawn = []
    for row in there[:MOST_FIGURES]:
        numbers = label_numbers(members_of(row.place.organ, measured, vocabulary), vocabulary)
        result = maps[_key(row.finding, row.finding.name)]
        drawn.append((row, saliency_figure(result, analysis.image, labels, numbers, row.place.system)))
    return tuple(drawn), len(there) - len(drawn)


def _linked(rows: Sequence[FindingRow], figures: Sequence[tuple[FindingRow, SaliencyFigure]]) -> list[FindingRow]:
    anchors = {id(row): figure.anchor for row, figure in figures}
    return [replace(row, anchor=anchors[id(row)]) if id(row) in anchors else row for row in rows]
