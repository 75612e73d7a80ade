"""Organs that a clause names, sides, and where a finding is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from training.data.reports.cues import gap
from training.data.reports.lexicon import FindingEntry, Lexicon

Span = tuple[int, int]
_LEVEL = re.compile(r"(?<![\w/])([ctl]\d{1,2}|s1)(?!\w)(?!\s*(?:weighted|image|signal))")
_LIST = re.compile(r"[\s,]*(?:and|or|nor|,)[\s,]*(?:the|both|left|right|\s)*")
_INTO = re.compile(r"\s+(?:in|of|within|involving|at|from|along|for|to|throughout)\s+(?:the\s+)?[\w\s]{0,25}")
_BEHIND = 15  # characters by which an organ behind the finding, without preposition, counts as farther away


@dataclass(frozen=True)
class OrganMention:
    """An organ named in a text: its vocabulary name, what it is with a side, and where it stands."""

    organ: str
    span: Span
    left: str | None = None
    right: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a finding is: vocabulary name and side."""

    organ: str | None
    side: str | None


@lru_cache(maxsize=512)
def members(organ: str) -> frozenset[str]:
    """The structures of an organ, composite or group.

    Raises:
        InputError: the vocabulary has no such name.
    """
    vocabulary = load_vocabulary()
    try:
        return frozenset(vocabulary.expand(organ))
    except InputError:
        return frozenset(part.name for part in vocabulary.group(organ))


@lru_cache(maxsize=512)
def family(entry: FindingEntry) -> frozenset[str]:
    """The structures in which a kind of finding can be."""
    return frozenset().union(*(members(organ) for organ in (entry.organ, *entry.near)))


def find_organs(words: str, lexicon: Lexicon) -> tuple[OrganMention, ...]:
    """The organs named in a clause; a word inside a longer term does not count.

    Args:
        words: the clause, as `cues.plain` makes it.
        lexicon: with the words.
    """
    found = [
        OrganMention(entry.organ, match.span(), entry.left, entry.right)
        for entry, pattern in lexicon.organs
        for match in pattern.finditer(words)
    ]
    for match in _LEVEL.finditer(words):
        name = f"vertebrae_{match.group(1).upper()}"
        if _is_name(name):
            found.append(OrganMention(name, match.span()))
    return tuple(mention for mention in sorted(found, key=lambda m: m.span) if not _covered(mention, found))


def nearest(span: Span, organs: Sequence[OrganMention], words: str) -> tuple[OrganMention, ...]:
    """The organ that a word belongs to, with the organs listed together with it ("liver and spleen")."""
    if not organs:
        return ()
    best = min(organs, key=lambda mention: _distance(span, mention.span, words))
    return _listed_with(best, organs, words)


def find_side(spans: Sequence[Span], words: str, lexicon: Lexicon) -> str | None:
    """The side word nearest to a finding: "left", "right", "both" or None."""
    marks = [(m.span(), side) for side in ("left", "right", "both") for m in lexicon.patterns[side].finditer(words)]
    if {side for _, side in marks} >= {"left", "right"} and re.search(r"(left and right|right and left)", words):
        return "both"
    if not marks:
        return None
    return min(marks, key=lambda mark: min(max(gap(mark[0], span), 0) for span in spans))[1]


def resolve(
    entry: FindingEntry, organs: Sequence[OrganMention], side: str | None, lexicon: Lexicon
) -> tuple[Place, ...]:
    """Where a finding is.

    Args:
        entry: the kind of finding.
        organs: organs that the sentence names for it.
        side: "left", "right", "both" or None.
        lexicon: for the sides of the finding's own organ.

    Returns:
        One place, or several where it is in both sides or in several parts.
    """
    fitting = [mention for mention in organs if members(mention.organ) <= family(entry)]
    if not fitting:
        own = next((o for o, _ in lexicon.organs if o.organ == entry.organ), None)
        fitting = [OrganMention(entry.organ, (0, 0), own.left if own else None, own.right if own else None)]
    size = min(len(members(mention.organ)) for mention in fitting)
    places = [place_of(mention, side) for mention in fitting if len(members(mention.organ)) == size]
    return tuple(dict.fromkeys(place for group in places for place in group))


def place_of(mention: OrganMention, side: str | None) -> tuple[Place, ...]:
    """An organ with a side word: one place, or two for both sides."""
    if mention.left is None or mention.right is None or side is None:
        return (_plain_place(mention.organ),)
    if side == "both":
        return (Place(mention.left, "left"), Place(mention.right, "right"))
    return (Place(mention.left if side == "left" else mention.right, side),)


@lru_cache(maxsize=64)
def _is_name(name: str) -> bool:
    return name in load_vocabulary().names().values()


@lru_cache(maxsize=512)
def _plain_place(organ: str) -> Place:
    try:
        return Place(organ, load_vocabulary().by_name(organ).side)
    except InputError:
        return Place(organ, None)


def _covered(mention: OrganMention, others: Sequence[OrganMention]) -> bool:
    (start, end) = mention.span
    return any(other.span[0] <= start and end <= other.span[1] and other.span != mention.span for other in others)


def _distance(span: Span, organ: Span, words: str) -> int:
    between = gap(span, organ)
    if between < 0:
        return 0
    if organ[0] >= span[1] and not _INTO.fullmatch(words[span[1] : organ[0]]):
        return between + _BEHIND
    return between


def _listed_with(best: OrganMention, organs: Sequence[OrganMention], words: str) -> tuple[OrganMention, ...]:
    row = sorted(organs, key=lambda mention: mention.span)
    at = row.index(best)
    low = high = at
    while low > 0 and _joined(row[low - 1], row[low], words):
        low -= 1
    while high + 1 < len(row) and _joined(row[high], row[high + 1], words):
        high += 1
    return tuple(row[low : high + 1])


def _joined(one: OrganMention, other: OrganMention, words: str) -> bool:
    return one.span == other.span or bool(_LIST.fullmatch(words[one.span[1] : other.span[0]]))
