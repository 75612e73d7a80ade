"""Sections of a report: headings of many styles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.data.reports.lexicon import Lexicon

_LINE = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*|__)?(?:\d{1,2}[.)][ \t]+)?([A-Za-z][A-Za-z0-9 ,/&()'_.\-]{1,80}?)"
    r"(?:\*\*|__)?[ \t]*(?P<mark>:|$)(?:\*\*|__)?",
    re.MULTILINE,
)
_BARE = (  # headings that need neither a colon nor capitals on a line of their own
    "findings", "impression", "conclusion", "technique", "history", "comparison", "clinical information", "indication",
)  # fmt: skip
_INLINE = re.compile(r"(?<=[.?!\]])[ \t]+([A-Z][A-Za-z ]{3,40}):")


@dataclass(frozen=True)
class Section:
    """A piece of a report.

    Attributes:
        name: "technique", "history", "comparison", "findings", "impression" or "addendum".
        start: first character of its text, behind the heading.
        end: past its last character.
        heading: a heading inside the findings, such as an organ, lower case; empty otherwise.
    """

    name: str
    start: int
    end: int
    heading: str = ""


def split_sections(text: str, lexicon: Lexicon) -> tuple[Section, ...]:
    """Split a report.

    What stands before the first heading is findings, unless findings or impression have a heading of their own: then it
    is technique (a title). Without such a heading, a history ends at the first empty line.

    Args:
        text: the report.
        lexicon: with the headings.

    Returns:
        Sections in order; together they hold all text but the headings.
    """
    marks = _headings(text, lexicon)
    seen = {name for _, _, name, _ in marks}
    has_body = bool(seen & {"findings", "impression"})
    out, begin, current, heading = [], 0, "technique" if has_body else "findings", ""
    for start, end, name, sub in [*marks, (len(text), len(text), "", "")]:
        out += _closed(text, Section(current, begin, start, heading), lexicon, has_body)
        begin, current, heading = end, name or current, sub
    return tuple(section for section in out if text[section.start : section.end].strip())


def _closed(text: str, section: Section, lexicon: Lexicon, has_body: bool) -> list[Section]:
    """A section, ended at its first empty line where the body of the report has no heading."""
    empty = re.compile(r"\S[^\n]*\n[ \t]*\n").search(text, section.start, section.end)
    if has_body or empty is None or section.name not in lexicon.sections.background:
        return [section]
    return [
        Section(section.name, section.start, empty.end()),
        Section("findings", empty.end(), section.end, section.heading),
    ]


def _headings(text: str, lexicon: Lexicon) -> list[tuple[int, int, str, str]]:
    """Start, end, section and inner heading of each heading, in order."""
    found: dict[int, tuple[int, int, str, str]] = {}
    for match in (*_LINE.finditer(text), *_INLINE.finditer(text)):
        title = match.group(1).strip(" ._").lower()
        name = _known(title, lexicon)
        colon = match.group(0).rstrip("*_ \t").endswith(":")
        capitals = match.group(1).upper() == match.group(1) or text[match.start() : match.end()].strip()[:1] in "#*_"
        bare = not colon and match.re is _LINE
        if bare and not (name or (capitals and len(title.split()) > 1 and _study(title, lexicon))):
            continue
        if bare and not (capitals or title in _BARE):
            continue
        if name:
            found.setdefault(match.start(1), (match.start(), match.end(), name, ""))
        elif capitals and _study(title, lexicon) and colon:
            found.setdefault(match.start(1), (match.start(), match.end(), "findings", ""))
        elif match.re is _LINE and colon and _organ(title, lexicon):
            found.setdefault(match.start(1), (match.start(), match.end(), "", title))
    return sorted(found.values())


def _known(title: str, lexicon: Lexicon) -> str:
    words = title.replace("_", " ").strip()
    return next((name for name, titles in lexicon.sections.headings.items() if words in titles), "")


def _study(title: str, lexicon: Lexicon) -> bool:
    return any(word in lexicon.sections.studies for word in re.findall(r"[a-z\-]+", title))


def _organ(title: str, lexicon: Lexicon) -> bool:
    return len(title.split()) <= 6 and any(pattern.search(title) for _, pattern in lexicon.organs)
