"""What is read from a report: findings, sentences and the whole, typed."""

from __future__ import annotations

from dataclasses import dataclass

STATES = ("present", "absent", "uncertain", "normal", "background")
CONTEXTS = ("background", "positive", "negative", "continuation")
SIDES = ("left", "right")


@dataclass(frozen=True)
class ReportFinding:
    """One statement about one organ.

    Attributes:
        text: the sentence, with what later sentences add to it.
        section: "technique", "history", "comparison", "findings", "impression" or "addendum".
        state: one of `STATES`.
        organ: name of the vocabulary; None where the sentence speaks of none.
        side: "left", "right" or None.
        finding: kind of finding, None for a normal organ, background and what has no name here.
        size_mm: the largest size that the text gives for it, mm.
        phase: contrast phase that it was seen in; None where unknown or several.
        span: first and past-the-end character of the sentence in the report (without later sentences).
    """

    text: str
    section: str
    state: str
    organ: str | None = None
    side: str | None = None
    finding: str | None = None
    size_mm: float | None = None
    phase: str | None = None
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ReportSentence:
    """One sentence of a report in its context.

    Attributes:
        text: as written, white space made single.
        section: see `ReportFinding`.
        context: one of `CONTEXTS`; a sentence with positive and negative statements is positive.
        span: characters in the report.
    """

    text: str
    section: str
    context: str
    span: tuple[int, int]


@dataclass(frozen=True)
class ParsedReport:
    """A report taken apart.

    Attributes:
        sentences: in order.
        findings: in order; background sentences are among them.
        phases: contrast phases of the examination.
        method: "rules" or the name of the language model.
        note: why the method is not the one asked for; empty otherwise.
    """

    sentences: tuple[ReportSentence, ...]
    findings: tuple[ReportFinding, ...]
    phases: tuple[str, ...] = ()
    method: str = "rules"
    note: str = ""
