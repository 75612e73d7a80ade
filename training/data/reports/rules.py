"""A report read by rules: no network, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.data.reports.clauses import Statement, read_clause
from training.data.reports.cues import plain
from training.data.reports.lexicon import Lexicon, load_lexicon
from training.data.reports.places import OrganMention, find_organs, find_side, members
from training.data.reports.results import ParsedReport, ReportFinding, ReportSentence
from training.data.reports.sections import Section, split_sections
from training.data.reports.sentences import split_clauses, split_sentences
from training.data.reports.sizes import find_phases, find_sizes


@dataclass(frozen=True)
class _Reading:
    """A sentence as read, before it joins the ones before it."""

    text: str
    words: str
    span: tuple[int, int]
    section: Section
    statements: tuple[Statement, ...]
    phase: str | None


def parse_report(text: str, lexicon: Lexicon | None = None) -> ParsedReport:
    """Take a report apart.

    Args:
        text: the report.
        lexicon: cue lists; by default ours.

    Returns:
        Sentences in their context, and what they say of which organ.
    """
    lexicon = lexicon or load_lexicon()
    sections = split_sections(text, lexicon)
    phases = study_phases(text, sections, lexicon)
    sentences: list[ReportSentence] = []
    findings: list[ReportFinding] = []
    for section in sections:
        head: int | None = None  # the finding that a continuation goes on with
        for span in split_sentences(text, section.start, section.end, lexicon):
            reading = _read(text, span, section, phases, lexicon)
            begins = head is not None and _begins(reading, lexicon)
            if head is not None and _only_adds(reading, findings[head], begins, lexicon):
                findings[head] = _extended(findings[head], reading, lexicon)
                findings.append(_background(reading, findings[head]))
                sentences.append(ReportSentence(reading.text, section.name, "continuation", span))
                continue
            if begins and reading.statements:
                reading = replace(reading, text=f"{findings[head].text} {reading.text}")
            new = _findings(reading)
            shown = [n for n, finding in enumerate(new) if finding.state in ("present", "uncertain")]
            head = len(findings) + shown[-1] if shown else (len(findings) if new[0].organ else head)
            findings += new
            sentences.append(
                ReportSentence(" ".join(text[span[0] : span[1]].split()), section.name, _context(new), span)
            )
    return ParsedReport(tuple(sentences), tuple(findings), phases)


def study_phases(text: str, sections: Sequence[Section], lexicon: Lexicon) -> tuple[str, ...]:
    """The examination's contrast phases: by its technique, else by the whole report."""
    technique = " ".join(text[s.start : s.end] for s in sections if s.name == "technique")
    return find_phases(plain(technique), lexicon) or find_phases(plain(text), lexicon)


def _read(text: str, span: tuple[int, int], section: Section, phases: tuple[str, ...], lexicon: Lexicon) -> _Reading:
    sentence = text[span[0] : span[1]]
    words = plain(sentence)
    bound = find_phases(words, lexicon)
    phase = bound[0] if len(bound) == 1 else phases[0] if len(phases) == 1 and not bound else None
    said = () if section.name in lexicon.sections.background else _statements(words, section, lexicon)
    return _Reading(" ".join(sentence.split()), words, span, section, said, phase)


def _statements(words: str, section: Section, lexicon: Lexicon) -> tuple[Statement, ...]:
    """What a sentence says, clause by clause; an organ with an exception is not normal."""
    clauses = [words[a:b].strip() for a, b in split_clauses(words, lexicon)]
    named = [find_organs(clause, lexicon) for clause in clauses]
    heading = find_organs(plain(section.heading), lexicon)
    out: list[Statement] = []
    for n, clause in enumerate(clauses):
        around = _around(named, n) or heading
        out += read_clause(clause, around, find_side([(0, 0)], words, lexicon), lexicon)
    if any(statement.is_exception and statement.state != "absent" for statement in out):
        out = [statement for statement in out if statement.state != "normal"]
    return _settled(out, words, lexicon)


def _around(named: Sequence[tuple[OrganMention, ...]], n: int) -> tuple[OrganMention, ...]:
    """The organs of the nearest clause before, else behind."""
    order = [*reversed(named[:n]), *named[n + 1 :]]
    return next((tuple(replace(o, span=(0, 0)) for o in organs) for organs in order if organs), ())


def _settled(out: list[Statement], words: str, lexicon: Lexicon) -> tuple[Statement, ...]:
    """Drop "normal" and nameless statements on organs of which the sentence says more, and share a lone size."""
    known = [s for s in out if s.finding and s.place.organ]
    taken = frozenset().union(*(members(s.place.organ) for s in known)) if known else frozenset()
    kept = [s for s in out if s.finding or not (s.place.organ and members(s.place.organ) & taken)]
    if known:
        kept = [s for s in kept if s.finding or s.place.organ]
    sizes = find_sizes(words, lexicon)
    shown = [s for s in kept if s.finding and s.state in ("present", "uncertain")]
    if len(sizes) == 1 and len({s.finding for s in shown}) == 1:
        kept = [replace(s, size_mm=sizes[0][1]) if s in shown else s for s in kept]
    return tuple(dict.fromkeys(kept))


def _begins(reading: _Reading, lexicon: Lexicon) -> bool:
    """Whether a sentence begins as one that goes on with the one before, and names no organ of its own."""
    return bool(lexicon.patterns["begins"].match(reading.words)) and not find_organs(reading.words, lexicon)


def _only_adds(reading: _Reading, head: ReportFinding, begins: bool, lexicon: Lexicon) -> bool:
    """Whether a sentence says nothing but more of its head: no other finding, or advice."""
    kinds = {statement.finding for statement in reading.statements if statement.finding}
    if kinds:
        return begins and kinds == {head.finding}
    return begins or bool(lexicon.patterns["follow_up"].search(reading.words))


def _extended(head: ReportFinding, reading: _Reading, lexicon: Lexicon) -> ReportFinding:
    sizes = find_sizes(reading.words, lexicon)
    is_shown = head.state in ("present", "uncertain")
    size = sizes[0][1] if head.size_mm is None and sizes and is_shown else head.size_mm
    return replace(head, text=f"{head.text} {reading.text}", size_mm=size)


def _background(reading: _Reading, head: ReportFinding | None = None) -> ReportFinding:
    organ, side = (head.organ, head.side) if head else (None, None)
    return ReportFinding(
        reading.text, reading.section.name, "background", organ, side, phase=reading.phase, span=reading.span
    )


def _findings(reading: _Reading) -> list[ReportFinding]:
    return [
        ReportFinding(
            reading.text, reading.section.name, said.state, said.place.organ, said.place.side, said.finding,
            said.size_mm, reading.phase, reading.span,
        )
        for said in reading.statements
    ] or [_background(reading)]  # fmt: skip


def _context(findings: Sequence[ReportFinding]) -> str:
    states = {finding.state for finding in findings}
    if states & {"present", "uncertain"}:
        return "positive"
    return "negative" if states & {"absent", "normal"} else "background"
