"""What negation and uncertainty reach in a clause, by cue phrases with a direction and words that stop them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.data.reports.lexicon import Lexicon

Span = tuple[int, int]


@dataclass(frozen=True)
class Scopes:
    """Spans of a clause that are denied, and spans that are left open."""

    denied: tuple[Span, ...]
    doubted: tuple[Span, ...]

    def state(self, spans: Iterable[Span]) -> str:
        """The state of what is said by some words: "absent", "uncertain" or "present"."""
        spans = tuple(spans)
        if any(_inside(span, scope) for span in spans for scope in self.denied):
            return "absent"
        return "uncertain" if any(_inside(span, scope) for span in spans for scope in self.doubted) else "present"


def find_scopes(words: str, lexicon: Lexicon, own: Sequence[Span] = ()) -> Scopes:
    """Find what is denied and what is doubted.

    A cue that belongs to a longer phrase does not count: "no" of "no change", "not" of "cannot be excluded", and what
    is part of a finding's own phrase ("no left kidney is present").

    Args:
        words: a clause, as `cues.plain` makes it.
        lexicon: with the cues.
        own: spans of the findings' phrases.
    """
    doubts = _triggers(words, lexicon, "uncertainty", own)
    silent = [match.span() for match in lexicon.patterns["not_negation"].finditer(words)]
    denials = _triggers(words, lexicon, "negation", [*own, *silent, *(span for span, _ in doubts)])
    return Scopes(_reach(words, denials, lexicon), _reach(words, doubts, lexicon))


def _triggers(words: str, lexicon: Lexicon, kind: str, silent: Sequence[Span]) -> list[tuple[Span, str]]:
    found = [
        (match.span(), way)
        for way in ("after", "before")
        for match in lexicon.patterns[f"{kind} {way}"].finditer(words)
    ]
    spans = [span for span, way in found if way == "after"]
    found = [(span, way) for span, way in found if way == "after" or not any(_inside(span, s) for s in spans)]
    return [(span, way) for span, way in found if not any(_inside(span, other) for other in silent)]


def _reach(words: str, triggers: list[tuple[Span, str]], lexicon: Lexicon) -> tuple[Span, ...]:
    stops = [match.span() for match in lexicon.patterns["stop"].finditer(words)]
    out = []
    for (start, end), way in triggers:
        if way == "before":
            out.append((end, min((stop[0] for stop in stops if stop[0] >= end), default=len(words))))
        else:
            out.append((max((stop[1] for stop in stops if stop[1] <= start), default=0), start))
    return tuple(out)


def _inside(span: Span, other: Span) -> bool:
    return other[0] <= span[0] and span[1] <= other[1]
