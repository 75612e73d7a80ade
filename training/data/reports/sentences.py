"""Sentences of a section, and clauses of a sentence, as spans of the report."""

from __future__ import annotations

import re
from itertools import pairwise

from training.data.reports.cues import plain
from training.data.reports.lexicon import Lexicon

_BULLET = re.compile(r"[ \t]*(?:[-*•·\u2013>]+|\(?\d{1,2}[.)]|[a-h][.)])[ \t]+(?=\S)")
_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)")
_VERB = r"(?:is|are|was|were|has|have|shows?|contains?|demonstrates?|measures?|appears?|remains?|lies|lie)"
_COMMA = re.compile(
    rf",\s+(?=(?:and\s+)?(?:no|there\s+(?:is|are|was|were)|(?:the|both|a|an)\s[^,;]*?\b{_VERB})\b)"
    rf"|\s+and\s+(?=(?:no\b|there\s+(?:is|are)\b|the\s[^,;]*?\b{_VERB}\b))"
)
_WRAPPED_AT = 55


def split_sentences(text: str, start: int, end: int, lexicon: Lexicon) -> list[tuple[int, int]]:
    """Spans of the sentences between two characters of a report, without bullets and outer white space.

    A full stop ends a sentence unless it belongs to a number, an abbreviation or an initial; so do an empty line, a
    bullet and the end of a short line before a capital.

    Args:
        text: the report.
        start: first character.
        end: past the last character.
        lexicon: with the abbreviations.
    """
    spans = []
    for first, last in _blocks(text, start, end):
        begin = first
        for match in _END.finditer(text, first, last):
            if match.end() >= last or _ends(text, begin, match, lexicon):
                spans.append((begin, match.end()))
                begin = match.end()
        spans.append((begin, last))
    trimmed = (_trim(text, *span) for span in spans)
    return [(first, last) for first, last in trimmed if re.search(r"\w", text[first:last])]


def split_clauses(sentence: str, lexicon: Lexicon) -> list[tuple[int, int]]:
    """Spans of a sentence's clauses: at ";", ", but", ", no", "and the ... is" and the like."""
    words = plain(sentence)
    cuts = [match.end() for match in re.finditer(r"[;:](?=\s)|\.\s", words)]
    cuts += [match.end() for match in _COMMA.finditer(words)]
    cuts += [match.start() for match in lexicon.patterns["split"].finditer(words)]
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(words)}), len(words)]
    return [(a, b) for a, b in pairwise(edges) if re.search(r"\w", words[a:b])]


def _blocks(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Runs of lines that belong together."""
    blocks, begin, position = [], start, start
    for line in text[start:end].splitlines(keepends=True):
        if position > begin and _breaks(text[begin:position], line):
            blocks.append((begin, position))
            begin = position
        position += len(line)
    return [*blocks, (begin, end)]


def _breaks(before: str, line: str) -> bool:
    last = before.splitlines()[-1]
    if not line.strip() or not last.strip() or _BULLET.match(line):
        return True
    is_short = len(last.strip()) < _WRAPPED_AT and not last.rstrip().endswith(
        (",", "-", "/", "(", "and", "or", "of", "the")
    )
    return is_short and bool(re.match(r"\s*[A-Z][a-z]+[\s:]", line))


def _ends(text: str, begin: int, match: re.Match[str], lexicon: Lexicon) -> bool:
    """Whether a full stop ends the sentence."""
    after = text[match.end() :].lstrip()
    word = re.search(r"[\w.]+$", text[begin : match.start()])
    last = word.group().lower() if word else ""
    if match.group()[0] in "!?" or not after:
        return True
    if last == "no":
        return not after[:1].isdigit()
    if last in lexicon.context.abbreviations:
        return False
    is_number = last.isdigit() and not text[begin : match.start() - len(last)].strip()
    return not is_number and not after[:1].islower()


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    bullet = _BULLET.match(text, start, end)
    start = bullet.end() if bullet else start
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
