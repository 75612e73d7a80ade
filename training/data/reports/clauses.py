"""What one clause says: kinds of findings with their places and states, and organs that it calls normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.data.reports.cues import gap
from training.data.reports.lexicon import FindingCues, Lexicon
from training.data.reports.places import (
    OrganMention,
    Place,
    family,
    find_organs,
    find_side,
    members,
    nearest,
    place_of,
    resolve,
)  # fmt: skip
from training.data.reports.scope import Scopes, find_scopes
from training.data.reports.sizes import find_sizes

Span = tuple[int, int]


@dataclass(frozen=True)
class Mention:
    """Words that tell a kind of finding; `fixed` is the state where the words themselves say it."""

    name: str
    spans: tuple[Span, ...]
    fixed: str | None = None


@dataclass(frozen=True)
class Statement:
    """What a clause says of one place; see `ReportFinding`."""

    state: str
    place: Place
    finding: str | None
    size_mm: float | None = None
    is_exception: bool = False


def read_clause(words: str, around: Sequence[OrganMention], side: str | None, lexicon: Lexicon) -> list[Statement]:
    """Read a clause.

    Args:
        words: as `cues.plain` makes it.
        around: organs that the rest of the sentence or its heading names, for a clause that names none.
        side: the side that the rest of the sentence names, for a clause that names none.
        lexicon: what to look for.

    Returns:
        Statements in the order of their words; none where the clause says nothing of an organ.
    """
    own = find_organs(words, lexicon)
    organs = own or tuple(around)
    mentions = _mentions(words, own, tuple(around), lexicon)
    scopes = find_scopes(
        words, lexicon, [span for mention in mentions for span in mention.spans if mention.fixed is None]
    )
    sizes = find_sizes(words, lexicon)
    out: list[Statement] = []
    for mention in mentions:
        state = mention.fixed or scopes.state(mention.spans)
        entry = lexicon.findings[mention.name].entry
        where = find_side(mention.spans, words, lexicon) or (None if own else side)
        near = _finest(mention, own, words, family(entry)) if own else organs
        places = resolve(entry, near, where, lexicon)
        if state == "absent" and where == "both":
            places = resolve(entry, near, None, lexicon)
        size = _size(mention, sizes) if state in ("present", "uncertain") else None
        out += [Statement(state, place, mention.name, size) for place in places]
    is_exception = bool(lexicon.patterns["exception"].match(words))
    rest = (
        _whole_organs(words, organs, scopes, lexicon, bool(own)) if not out else _also_normal(words, own, out, lexicon)
    )
    return [Statement(s.state, s.place, s.finding, s.size_mm, is_exception) for s in _unique([*out, *rest])]


def _mentions(
    words: str, own: tuple[OrganMention, ...], around: tuple[OrganMention, ...], lexicon: Lexicon
) -> list[Mention]:
    found: list[Mention] = []
    for name, kind in lexicon.findings.items():
        for cues, fixed in ((kind.absent, "absent"), (kind.uncertain, "uncertain"), (kind.cues, None)):
            for cue in cues:
                found += [
                    Mention(name, spans, fixed) for spans in cue.find(words) if not _foreign(kind, spans, own, words)
                ]
        found += [Mention(name, (span,)) for span in _heads(kind, words, own or around, bool(own))]
    kept = [mention for mention in found if not any(_within(mention, other, lexicon) for other in found)]
    first: dict[tuple, Mention] = {}
    for mention in sorted(kept, key=lambda m: (m.fixed is None, m.spans[0])):
        if not any(other.fixed and other.name == mention.name for other in first.values()):
            first.setdefault((mention.name, mention.spans[0]), mention)
    return sorted(first.values(), key=lambda m: m.spans)


def _heads(kind: FindingCues, words: str, organs: tuple[OrganMention, ...], is_own: bool) -> list[Span]:
    """Where a head word stands whose organ is one of the finding's."""
    if kind.heads is None or not organs:
        return []
    mine = family(kind.entry)
    spans = []
    for match in kind.heads.finditer(words):
        near = nearest(match.span(), organs, words) if is_own else organs
        if any(members(mention.organ) <= mine for mention in near):
            spans.append(match.span())
    return spans


def _finest(
    mention: Mention, own: Sequence[OrganMention], words: str, mine: frozenset[str]
) -> tuple[OrganMention, ...]:
    """The organ nearest to a finding, or the part of it that the clause names ("lung mass in the left lower lobe")."""
    fitting = [organ for organ in own if members(organ.organ) <= mine]
    near = nearest(mention.spans[0], fitting, words)
    whole = frozenset().union(*(members(organ.organ) for organ in near))
    parts = [organ for organ in fitting if members(organ.organ) < whole]
    return nearest(mention.spans[0], parts, words) if parts else near


def _foreign(kind: FindingCues, spans: tuple[Span, ...], own: tuple[OrganMention, ...], words: str) -> bool:
    """Whether an organ where the finding cannot be stands between the terms of a phrase, other than in a list."""
    if len(spans) == 1:
        return False
    low, high = min(spans)[1], max(spans)[0]
    between = [o for o in own if low <= o.span[0] and o.span[1] <= high and not members(o.organ) & family(kind.entry)]
    listed = {o.span for mention in own if mention.span[0] <= min(spans)[1] for o in nearest(min(spans), own, words)}
    return any(o.span not in listed for o in between)


def _within(mention: Mention, other: Mention, lexicon: Lexicon) -> bool:
    """Whether a mention's words are all part of a longer one's, or some of them of a less general one's."""
    general, is_less = (lexicon.findings[m.name].entry.is_general for m in (mention, other))
    if general and not is_less:
        return any(gap(span, o) < 0 for span in mention.spans for o in other.spans)
    if _letters(other) <= _letters(mention):
        return False
    return all(any(o[0] <= span[0] and span[1] <= o[1] for o in other.spans) for span in mention.spans)


def _letters(mention: Mention) -> int:
    return sum(end - start for start, end in mention.spans)


def _size(mention: Mention, sizes: list[tuple[Span, float]]) -> float | None:
    if not sizes:
        return None
    return min(sizes, key=lambda size: min(max(gap(size[0], span), 0) for span in mention.spans))[1]


def _whole_organs(
    words: str, organs: Sequence[OrganMention], scopes: Scopes, lexicon: Lexicon, is_own: bool
) -> list[Statement]:
    """Statements of a clause that names no known kind of finding."""
    state = _plain_state(words, scopes, lexicon, is_own)
    if state is None:
        return []
    if not organs:
        return [Statement(state, Place(None, None), None)] if state == "normal" else []
    sizes = find_sizes(words, lexicon)
    size = sizes[0][1] if sizes and state in ("present", "uncertain") else None
    out = []
    for mention in organs:
        side = find_side([mention.span], words, lexicon)
        places = place_of(mention, None if side == "both" else side)
        out += [Statement(state, place, None, size) for place in places]
    return out


def _plain_state(words: str, scopes: Scopes, lexicon: Lexicon, is_own: bool) -> str | None:
    generic = [match.span() for match in lexicon.patterns["generic"].finditer(words)]
    normal = [match.span() for match in lexicon.patterns["normal"].finditer(words)]
    odd = [match.span() for match in lexicon.patterns["abnormal"].finditer(words)]
    if generic and scopes.state(generic) == "absent":
        return "normal"
    if normal:
        return {"present": "normal", "absent": "present"}.get(scopes.state(normal), "uncertain")
    if odd:
        return scopes.state(odd)
    if is_own and find_sizes(words, lexicon):
        return "present"
    return None


def _also_normal(words: str, own: Sequence[OrganMention], out: list[Statement], lexicon: Lexicon) -> list[Statement]:
    """Organs that a clause with findings calls normal as well: those that none of its findings is in."""
    if not lexicon.patterns["normal"].search(words):
        return []
    taken = frozenset().union(*(members(s.place.organ) for s in out if s.place.organ))
    homes = frozenset().union(*(family(lexicon.findings[s.finding].entry) for s in out if s.finding))
    free = [mention for mention in own if not members(mention.organ) & (taken | homes)]
    return [Statement("normal", place, None) for mention in free for place in place_of(mention, None)]


def _unique(statements: list[Statement]) -> list[Statement]:
    """One statement per kind and place: the surest one."""
    rank = {"present": 0, "uncertain": 1, "absent": 2, "normal": 3}
    best: dict[tuple, Statement] = {}
    for statement in statements:
        key = (statement.finding, statement.place)
        if key not in best or rank[statement.state] < rank[best[key].state]:
            best[key] = statement
    return list(best.values())
