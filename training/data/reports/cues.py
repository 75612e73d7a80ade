r"""Cue phrases: how the YAML files write them, and the patterns made of them.

A phrase is words parted by spaces. White space and hyphens of the report count as one space, and case does not count.

| in a phrase | stands for |
|---|---|
| `nodule` | the word or its plural |
| `calcif*` | words that begin so |
| `thick ... wall` | up to five words between, none of them behind a comma |
| `kidney & stone` | both near each other in one clause, in any order |
| `(renal|kidney) stone`, `(large )?heart` | alternatives and options, as in regular expressions |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NEAR_CHARACTERS = 70
_GAP = r"(?:\s+[\w'%.]+){0,5}?\s+"
_WORD = re.compile(r"[a-z]+(?=$|[\s|)])")


@dataclass(frozen=True)
class Cue:
    """A compiled phrase: terms that must all be there.

    Attributes:
        phrase: as written.
        terms: one pattern per term, for text as `plain` makes it.
        letters: letters without which the phrase cannot be there, to pass over most texts quickly.
    """

    phrase: str
    terms: tuple[re.Pattern[str], ...]
    letters: tuple[str, ...] = ()

    def find(self, text: str) -> list[tuple[tuple[int, int], ...]]:
        """Where the phrase stands in a text made by `plain`.

        Returns:
            Per find, the span of each term; the first term leads, and the nearest others are taken.
        """
        found: list[tuple[tuple[int, int], ...]] = []
        for letters in self.letters:
            if letters not in text:
                return found
        for match in self.terms[0].finditer(text):
            spans = [match.span()]
            for term in self.terms[1:]:
                near = [other.span() for other in term.finditer(text)]
                near = [span for span in near if 0 <= gap(span, spans[0]) <= _NEAR_CHARACTERS]
                if not near:
                    break
                spans.append(min(near, key=lambda span: gap(span, spans[0])))
            else:
                found.append(tuple(spans))
        return found


def gap(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Characters between two spans; -1 where they overlap."""
    if one[0] < other[1] and other[0] < one[1]:
        return -1
    return max(one[0] - other[1], other[0] - one[1])


def compile_cue(phrase: str, spellings: Mapping[str, str]) -> Cue:
    """Make a cue of a phrase.

    Args:
        phrase: as the module says.
        spellings: pieces of words and the patterns of their spellings.

    Raises:
        ValueError: the phrase makes no pattern.
    """
    terms = []
    for term in phrase.lower().split(" & "):
        try:
            terms.append(re.compile(rf"(?<!\w)(?:{_pattern(term.strip(), spellings)})(?!\w)"))
        except re.error as error:
            raise ValueError(f"the phrase {phrase!r} is no pattern: {error}") from error
    letters = tuple(_needed(term, spellings) for term in phrase.lower().split(" & "))
    return Cue(phrase, tuple(terms), tuple(piece for piece in letters if piece))


def one_pattern(phrases: Iterable[str], spellings: Mapping[str, str]) -> re.Pattern[str]:
    """One pattern for a list of phrases without `&`; the longest alternatives first."""
    ordered = sorted(phrases, key=len, reverse=True)
    inner = "|".join(_pattern(phrase.lower(), spellings) for phrase in ordered)
    return re.compile(rf"(?<!\w)(?:{inner})(?!\w)")


def plain(text: str) -> str:
    """Lower case, with white space and hyphens as single characters of space; positions stay as they are."""
    lowered = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    return re.sub(r"[\s\-\u2010\u2011\u2013_*]", " ", lowered).replace("\u2019", "'")


def _pattern(phrase: str, spellings: Mapping[str, str]) -> str:
    pattern = re.sub(r"(?<=[a-z])\*", r"\\w*", phrase)
    pattern = _WORD.sub(lambda match: _plural(match.group()), pattern)
    pattern = re.sub(r"\s+\.\.\.\s+", lambda _: _GAP, pattern.replace(r"\w*", "\0"))
    for piece, spelling in spellings.items():
        pattern = re.sub(rf"(?<![a-z]){piece}|(?<=[a-z]){piece}(?=[a-z?(\0]|$)", spelling, pattern)
    return re.sub(r" ", lambda _: r"\s+", pattern).replace("\0", r"\w*")


def _needed(term: str, spellings: Mapping[str, str]) -> str:
    """The longest run of letters that every text of a term holds."""
    while re.search(r"\([^()]*\)", term):
        term = re.sub(r"\([^()]*\)[?*]?", "#", term)
    runs = re.split("|".join(["[^a-z]", *spellings]), re.sub(r"[a-z]\?", "#", term)) if "|" not in term else [""]
    longest = max(runs, key=len)
    return longest[:-1] if longest.endswith("y") else longest


def _plural(word: str) -> str:
    if len(word) < 4 or word.endswith(("s", "ed", "ing", "ly")):
        return word
    if word.endswith("y") and word[-2] not in "aeou":
        return f"{word[:-1]}(?:y|ies)"
    return f"{word}(?:e?s)?"
