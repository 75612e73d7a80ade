"""The catalogue of findings, read from `vocabulary/findings/*.json` in the Resources folder.

A finding is something that a radiologist looks for in an organ, such as hepatic steatosis. Its wordings are sentences
that say that it is there and that it is not; a model that knows texts and images compares an organ with both. The
wordings name no size and no side, and none of them is a sentence of the virtual patients' reports, so a model trained
on those meets them here for the first time.

Annotations are evaluated here, not kept as text: resolving them again for each entry would take longer than all else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from medfm_core.anatomy.vocabulary import Vocabulary, load_vocabulary
from medfm_core.errors import InputError
from medfm_core.settings import read_settings
from medfm_core.strict import from_dict, unknown_name

Phase = Literal["non_contrast", "arterial", "portal_venous", "delayed", "ctpa"]
Scope = Literal["part", "whole"]
FEWEST_WORDINGS = 3


@dataclass(frozen=True)
class FindingKind:
    """One kind of finding.

    Attributes:
        name: its key, e.g. "hepatic_steatosis".
        label: what a reader sees, e.g. "Hepatic steatosis".
        organs: where it is looked for, the most telling first; names of the vocabulary's organs, composites or groups.
        scope: "whole" gives one score to each of `organs`, all of its parts together; "part" gives one to each part
            by itself, such as each kidney, lobe or vertebra.
        positive: sentences that say that it is there, at least three.
        negative: sentences that say that it is not there, at least three; the last calls the organ normal in this
            respect.
        codes: coding scheme to code value, such as {"SNOMED-CT": "197321007"}; empty where none is certain.
        benchmarks: benchmark to the name of the column that asks for it, such as {"merlin": "hepatic_steatosis"}.
        phases: contrast phases in which it shows; empty for all.
        notes: what a reader must know of its limits.
    """

    name: str
    label: str
    organs: tuple[str, ...]
    scope: Scope
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    codes: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(f"{self.name or 'a finding'} {problem}")

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True)
class Question:
    """What a model is asked about one finding: sentences that say that it is there, and that it is not."""

    name: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """What one file of the folder holds."""

    version: Literal[1]
    about: str
    findings: tuple[FindingKind, ...]


@dataclass(frozen=True)
class FindingCatalogue:
    """All findings, in the order of the files' names and of the entries in each.

    Attributes:
        findings: the findings.
        vocabulary: the anatomy that they name.
    """

    findings: tuple[FindingKind, ...]
    vocabulary: Vocabulary

    def __iter__(self) -> Iterator[FindingKind]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @cached_property
    def _names(self) -> dict[str, FindingKind]:
        return {finding.name: finding for finding in self.findings}

    @cached_property
    def _structures(self) -> dict[str, frozenset[str]]:
        """Finding to the single organs in which it is looked for."""
        return {
            finding.name: frozenset(part for name in finding.organs for part in structures_of(name, self.vocabulary))
            for finding in self.findings
        }

    def by_name(self, name: str) -> FindingKind:
        """The finding of that name.

        Raises:
            InputError: there is none; the nearest names are given.
        """
        if name not in self._names:
            raise InputError(unknown_name("finding", name, self._names), "see `medfm findings list`")
        return self._names[name]

    def of_organ(self, organ: str) -> tuple[FindingKind, ...]:
        """The findings that are looked for in an organ or in any part of it.

        Args:
            organ: name of an organ, composite or group, e.g. "liver", "kidneys" or "lung_lower_lobe_left".

        Raises:
            InputError: the vocabulary has no such name.
        """
        wanted = structures_of(organ, self.vocabulary)
        return tuple(finding for finding in self.findings if not self._structures[finding.name].isdisjoint(wanted))

    def benchmark(self, name: str) -> dict[str, FindingKind]:
        """The findings that a benchmark asks for, by its column names.

        Args:
            name: "merlin" or "ct_rate".

        Raises:
            InputError: no finding belongs to a benchmark of that name.
        """
        known = {benchmark for finding in self.findings for benchmark in finding.benchmarks}
        if name not in known:
            raise InputError(unknown_name("benchmark", name, sorted(known)))
        return {finding.benchmarks[name]: finding for finding in self.findings if name in finding.benchmarks}


def structures_of(name: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The single organs that a name stands for: an organ, the parts of a composite, or the members of a group.

    Raises:
        InputError: the vocabulary has no such name; the nearest ones are given.
    """
    try:
        return vocabulary.expand(name)
    except InputError:
        members = _members(name, vocabulary)
    if not members:
        known = [*vocabulary.names().values(), *(group.name for group in vocabulary.groups)]
        raise InputError(unknown_name("organ", name, known))
    return members


def _members(group: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    try:
        return vocabulary.find_group(group).members
    except InputError:
        return ()


def load_findings(folder: str | Path | None = None) -> FindingCatalogue:
    """Read the catalogue; a second call gives the same object.

    Args:
        folder: the Resources folder; by default the one of the settings.

    Raises:
        InputError: the folder has no findings, or a file is not usable: an unknown entry or organ, too few wordings,
            or entries that contradict each other.
    """
    return _load(Path(folder or read_settings().resources))


@lru_cache(maxsize=4)
def _load(resources: Path) -> FindingCatalogue:
    folder = resources / "vocabulary" / "findings"
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"there are no findings in {folder}", "install MedFM anew or set MEDFM_RESOURCES")
    catalogue = FindingCatalogue(
        tuple(finding for path in paths for finding in _read(path).findings), load_vocabulary(resources)
    )
    try:
        _check(catalogue)
    except ValueError as problem:
        raise InputError(f"the findings in {folder} are not usable: {problem}", "correct that entry") from problem
    return catalogue


def _read(path: Path) -> _File:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the findings {path}", "install MedFM anew or set MEDFM_RESOURCES") from error
    return from_dict(_File, data, f"the findings {path}")


def _problem(finding: FindingKind) -> str:
    """What is wrong with an entry by itself, as the end of a sentence; empty where nothing is."""
    if not finding.name.isidentifier() or finding.name != finding.name.lower():
        return f"is no name: use small letters and underscores, not {finding.name!r}"
    if not finding.label.strip() or not finding.organs:
        return f"has no {'organs' if finding.label.strip() else 'label'}"
    for polarity in ("positive", "negative"):
        wordings = getattr(finding, polarity)
        if len(wordings) < FEWEST_WORDINGS:
            return f"has {len(wordings)} {polarity} wordings; give at least {FEWEST_WORDINGS}"
        broken = [text for text in wordings if not text[:1].isupper() or text[-1:] != "." or "  " in text]
        if broken:
            return f"has a {polarity} wording that is no whole sentence: {broken[0]!r}"
    for what, values in (("wording", finding.positive + finding.negative), ("organ", finding.organs)):
        twice = _twice(values)
        if twice:
            return f"has the {what} {twice!r} twice"
    return ""


def _check(catalogue: FindingCatalogue) -> None:
    """Refuse a catalogue whose entries contradict each other or the vocabulary.

    Raises:
        ValueError: what is wrong with which entry.
    """
    twice = _twice([finding.name for finding in catalogue])
    if twice:
        raise ValueError(f"the finding {twice} is there twice")
    columns: dict[tuple[str, str], str] = {}
    says_yes = {text.lower(): finding.name for finding in catalogue for text in finding.positive}
    for finding in catalogue:
        for organ in finding.organs:
            try:
                structures_of(organ, catalogue.vocabulary)
            except InputError as error:
                raise ValueError(f"{finding.name}: {error}") from error
        for text in finding.negative:
            if text.lower() in says_yes:
                raise ValueError(f"{text!r} denies {finding.name} and asserts {says_yes[text.lower()]}")
        for column in finding.benchmarks.items():
            if column in columns:
                raise ValueError(f"{finding.name} and {columns[column]} both claim {column[1]!r} of {column[0]}")
            columns[column] = finding.name


def _twice(values: tuple[str, ...] | list[str]) -> str:
    """The first value that comes again, in capital or small letters; empty where none does."""
    seen: set[str] = set()
    for value in map(str.lower, values):
        if value in seen:
            return value
        seen.add(value)
    return ""
