"""Sizes and contrast phases in a text."""

from __future__ import annotations

import re

from training.data.reports.lexicon import Lexicon

_NUMBER = r"\d+(?:[.,]\d+)?"
_SIZE = re.compile(
    rf"(?<![\w.])(?P<first>{_NUMBER})(?P<more>(?:\s*(?:mm|cm)?\s*(?:x|\u00d7|by|to|\u2013| )\s*{_NUMBER})*)\s*"
    r"(?P<unit>mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)(?![\w²³])"
)


def find_sizes(words: str, lexicon: Lexicon) -> list[tuple[tuple[int, int], float]]:
    """The sizes that a text gives, each with its span and its largest dimension, mm.

    Distances ("3 cm above the carina") and earlier sizes ("previously 9 mm") are left out.

    Args:
        words: as `cues.plain` makes it.
        lexicon: with the words that make a length a distance.
    """
    out = []
    for match in _SIZE.finditer(words):
        behind = lexicon.patterns["size_not"].match(
            words, match.end() + len(re.match(r"\s*", words[match.end() :]).group())
        )
        earlier = list(lexicon.patterns["size_before_not"].finditer(words, max(0, match.start() - 25), match.start()))
        if behind or earlier:
            continue
        numbers = re.findall(_NUMBER, match.group("first") + " " + match.group("more"))
        scale = 10.0 if match.group("unit").startswith("c") else 1.0
        out.append((match.span(), round(max(float(number.replace(",", ".")) for number in numbers) * scale, 2)))
    return out


def find_phases(words: str, lexicon: Lexicon) -> tuple[str, ...]:
    """The contrast phases that a text names, in the order of the cue list."""
    return tuple(name for name, pattern in lexicon.phases.items() if pattern.search(words))
