"""Which sentences say what: those of all reports, by finding, state and the structures that they speak of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from medfm_core.anatomy import FindingKind
from training.data.organ_truth import structures_of
from training.data.statements import Statement, StudyStatements

Key = tuple[str | None, str, str]  # finding, state, unit


def is_detailed(line: Statement) -> bool:
    """Whether a sentence tells more than that the finding is there: a size, or digits of any kind."""
    return line.size_mm is not None or any(letter.isdigit() for letter in line.text)


class SentenceBank:
    """Sentences by what they say of which organ unit.

    Args:
        studies: whose sentences.
        units: single structures of every unit.
        wordings: findings of the catalogue whose wordings belong to the sentences.
    """

    def __init__(
        self,
        studies: Iterable[StudyStatements],
        units: Mapping[str, frozenset[str]],
        wordings: Iterable[FindingKind] = (),
    ) -> None:
        said = {line.text: line for study in studies for line in study.statements if _usable(line)}
        lines = [*said.values(), *(line for kind in wordings for line in _wordings(kind))]
        self.texts: tuple[str, ...] = tuple(line.text for line in lines)
        self.detailed = np.array([is_detailed(line) for line in lines], bool)
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        for number, line in enumerate(lines):
            for unit, structures in units.items():
                if structures & structures_of(line.organ) and _same_side(line.side, unit):
                    self._by_key[line.finding, line.state, unit].append(number)
        self._place = {line.text: number for number, line in enumerate(said.values())}

    def numbers(self, finding: str | None, state: str, unit: str) -> Sequence[int]:
        """Sentences that say that a finding is `present` or `absent` in a unit, or that it is `normal`."""
        return self._by_key.get((finding, state, unit), ())

    def tells(self, finding: str) -> bool:
        """Whether there are sentences that say that a finding is there, and that it is not."""
        told = {state for name, state, _ in self._by_key if name == finding}
        return {"present", "absent"} <= told

    def own(self, study: StudyStatements, finding: str, unit_structures: frozenset[str]) -> list[int]:
        """Sentences of a study's own report that say that a unit has a finding."""
        return [
            self._place[line.text]
            for line in study.statements
            if line.text in self._place and line.finding == finding and line.state == "present"
            and structures_of(line.organ) & unit_structures
        ]  # fmt: skip


def _usable(line: Statement) -> bool:
    return bool(line.text) and line.state != "uncertain"


def _wordings(kind: FindingKind) -> Iterator[Statement]:
    """The catalogue's wordings as statements, once for every organ that they may speak of."""
    for organ in kind.organs:
        yield from (Statement(organ, "present", kind.name, text) for text in kind.positive)
        yield from (Statement(organ, "absent", kind.name, text) for text in kind.negative)


def _same_side(side: str | None, unit: str) -> bool:
    other = {"left": "right", "right": "left"}.get(side or "")
    return other is None or other not in unit.split("_")
