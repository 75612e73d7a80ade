"""The cue lists of the rules, read from the YAML files of `cues` and compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from medfm_core.anatomy.findings import load_findings
from medfm_core.errors import InputError
from medfm_core.strict import from_dict
from training.data.reports.cues import Cue, compile_cue, one_pattern

FOLDER = Path(__file__).parent / "cue_lists"


@dataclass(frozen=True)
class OrganEntry:
    """Words for an organ: its name in the vocabulary, what it is with a side, and the terms."""

    organ: str
    terms: tuple[str, ...]
    left: str | None = None
    right: str | None = None


@dataclass(frozen=True)
class FindingEntry:
    """Words for a kind of finding; `findings.yaml` says what each list means."""

    name: str
    organ: str
    cues: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    is_general: bool = False


@dataclass(frozen=True)
class Directed:
    """Phrases that work on what follows them, and phrases that work on what precedes them."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class ContinuationEntry:
    """How sentences begin that go on with the one before, and words of advice."""

    begins: tuple[str, ...]
    follow_up: tuple[str, ...]


@dataclass(frozen=True)
class ContextEntry:
    """The file `context.yaml`."""

    negation: Directed
    not_negation: tuple[str, ...]
    uncertainty: Directed
    stop: tuple[str, ...]
    split: tuple[str, ...]
    exception: tuple[str, ...]
    normal: tuple[str, ...]
    generic: tuple[str, ...]
    abnormal: tuple[str, ...]
    continuation: ContinuationEntry
    abbreviations: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]]
    spellings: Mapping[str, str]
    size_not: tuple[str, ...]
    size_before_not: tuple[str, ...]


@dataclass(frozen=True)
class SectionEntry:
    """The file `sections.yaml`."""

    background: tuple[str, ...]
    headings: Mapping[str, tuple[str, ...]]
    studies: tuple[str, ...]


@dataclass(frozen=True)
class FindingCues:
    """A kind of finding, compiled."""

    entry: FindingEntry
    cues: tuple[Cue, ...]
    heads: re.Pattern[str] | None
    absent: tuple[Cue, ...]
    uncertain: tuple[Cue, ...]


@dataclass(frozen=True)
class Lexicon:
    """Everything that the rules know.

    Attributes:
        organs: entry and pattern of each organ.
        findings: by name.
        context: the lists of `context.yaml`.
        patterns: one pattern per list of `context.yaml` that has no direction, by name; with "negation before" and
            the like for the directed ones and "left", "right", "both" for the sides.
        sections: the lists of `sections.yaml`.
        phases: pattern of each contrast phase.
    """

    organs: tuple[tuple[OrganEntry, re.Pattern[str]], ...]
    findings: Mapping[str, FindingCues]
    context: ContextEntry
    patterns: Mapping[str, re.Pattern[str]]
    sections: SectionEntry
    phases: Mapping[str, re.Pattern[str]]


@lru_cache(maxsize=2)
def load_lexicon(folder: Path = FOLDER) -> Lexicon:
    """Read the cue lists; a second call gives the same object.

    Raises:
        InputError: a file is missing or not of its form.
    """
    context = from_dict(ContextEntry, _read(folder, "context"), "the cue list context.yaml")
    spell = context.spellings
    listed = [from_dict(FindingEntry, item, "the cue list findings.yaml") for item in _read(folder, "findings")]
    organs = [from_dict(OrganEntry, item, "the cue list organs.yaml") for item in _read(folder, "organs")]
    named = one_pattern([term for organ in organs for term in organ.terms], spell)
    findings = [*listed, *_from_catalogue(listed, named)]
    try:
        return Lexicon(
            organs=tuple((organ, one_pattern(organ.terms, spell)) for organ in organs),
            findings={entry.name: _compiled(entry, spell) for entry in findings},
            context=context,
            patterns=_patterns(context),
            sections=from_dict(SectionEntry, _read(folder, "sections"), "the cue list sections.yaml"),
            phases={name: one_pattern(cues, spell) for name, cues in _read(folder, "phases").items()},
        )
    except (ValueError, re.error) as error:
        raise InputError(f"a cue list is not usable: {error}", "correct that phrase") from error


def _from_catalogue(listed: list[FindingEntry], organs: re.Pattern[str]) -> list[FindingEntry]:
    """Kinds of the catalogue that the cue list lacks, with cues made of their labels.

    "Bladder mass" is found by its words near each other, and by "mass" near the bladder where no listed kind of that
    organ claims the word.
    """
    names, entries = {entry.name for entry in listed}, []
    for kind in load_findings():
        words = [word for word in re.sub(r"[^a-z ]", " ", kind.label.lower()).split() if len(word) > 2]
        if kind.name in names or not kind.organs or not words:
            continue
        claimed = " ".join(head for e in listed if e.organ in kind.organs for head in (*e.heads, *e.cues))
        stem = words[-1][: max(5, len(words[-1]) - 3)]
        is_taken = stem in claimed or len(stem) < 5 or organs.search(words[-1])
        heads = () if is_taken else (f"{stem}*",)
        cues = tuple(dict.fromkeys((" ".join(words), " & ".join(words))))
        entries.append(FindingEntry(kind.name, kind.organs[0], cues, heads, near=tuple(kind.organs)))
    return entries


def _read(folder: Path, name: str) -> Any:
    path = folder / f"{name}.yaml"
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the cue list {path}", "install MedFM anew") from error
    except yaml.YAMLError as error:
        raise InputError(f"the cue list {path} is no YAML: {error}", "correct it") from error


def _compiled(entry: FindingEntry, spell: Mapping[str, str]) -> FindingCues:
    def many(phrases: tuple[str, ...]) -> tuple[Cue, ...]:
        return tuple(compile_cue(phrase, spell) for phrase in phrases)

    heads = one_pattern(entry.heads, spell) if entry.heads else None
    return FindingCues(entry, many(entry.cues), heads, many(entry.absent), many(entry.uncertain))


def _patterns(context: ContextEntry) -> dict[str, re.Pattern[str]]:
    spell = context.spellings
    lists = {
        "not_negation": context.not_negation, "stop": context.stop, "split": context.split,
        "exception": context.exception, "normal": context.normal, "generic": context.generic,
        "abnormal": context.abnormal, "begins": context.continuation.begins,
        "follow_up": context.continuation.follow_up, "size_not": context.size_not,
        "size_before_not": context.size_before_not, "negation before": context.negation.before,
        "negation after": context.negation.after, "uncertainty before": context.uncertainty.before,
        "uncertainty after": context.uncertainty.after, **context.sides,
    }  # fmt: skip
    return {name: one_pattern(phrases, spell) for name, phrases in lists.items()}
