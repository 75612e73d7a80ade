"""Where a finding is scored: from the organs that the catalogue names to the organ units that an encoder has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medfm_core.anatomy import FindingKind, Vocabulary, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.card_inputs import WHOLE_SCAN
from medfm_core.measurements import State
from medfm_core.organ_units import OrganUnit


@dataclass(frozen=True)
class Place:
    """One place that a finding is asked about.

    Attributes:
        organ: name to report: of the catalogue's organ, or of the unit for a part.
        units: the organ units that answer for it; empty where the model has none.
        lacking: titles of structures of the organ that no unit of the model has.
        within: whether the unit is wider than the organ.
    """

    organ: str
    units: tuple[OrganUnit, ...]
    lacking: tuple[str, ...] = ()
    within: bool = False


def places_of(kind: FindingKind, units: Sequence[OrganUnit]) -> tuple[Place, ...]:
    """Say where a finding is scored.

    With scope "whole" each organ of the catalogue is one place, with all units that are parts of it. With scope "part"
    each such unit is a place of its own. Where the model has no unit that is a part of the organ, the smallest unit
    that the organ is a part of answers.

    Args:
        kind: the finding.
        units: those of the encoder.

    Returns:
        In the order of the catalogue's organs and of the units; each name once.
    """
    vocabulary, found = load_vocabulary(), {}
    for organ in kind.organs:
        for place in _places(organ, kind.scope == "part", units, vocabulary):
            found.setdefault(place.organ, place)
    return tuple(found.values())


def place_of(organ: str, units: Sequence[OrganUnit]) -> Place:
    """The organ units that answer for an organ as a whole.

    Args:
        organ: name of an organ unit, or of the vocabulary: an organ, composite or group.
        units: those of the encoder.

    Raises:
        InputError: there is no such organ.
    """
    own = next((unit for unit in units if unit.name == organ), None)
    return Place(organ, (own,)) if own else _places(organ, False, units, load_vocabulary())[0]


def title_of(name: str) -> str:
    """What a reader sees of an organ, a composite, a group or a unit of the model's own."""
    vocabulary = load_vocabulary()
    titles = {organ.name: organ.title for organ in (*vocabulary.organs, *vocabulary.composites)}
    titles = {group.name: group.title for group in vocabulary.groups} | titles
    return titles.get(name) or name.replace("_", " ").capitalize()


def side_of(name: str) -> str | None:
    """The side of an organ, composite or unit: "left", "right" or None."""
    vocabulary = load_vocabulary()
    return next((o.side for o in (*vocabulary.organs, *vocabulary.composites) if o.name == name), None)


def _places(organ: str, by_part: bool, units: Sequence[OrganUnit], vocabulary: Vocabulary) -> list[Place]:
    structures = frozenset(structures_of(organ, vocabulary))
    parts = _parts(structures, units)
    if not parts:
        wider = _wider(structures, units)
        if wider is None:
            return [Place(organ, (), _titles(structures, vocabulary))]
        own = by_part or wider.name == WHOLE_SCAN  # said of the scan, not of each organ by name
        return [Place(wider.name if own else organ, (wider,), within=True)]
    had = frozenset().union(*(unit.structures for unit in parts))
    lacking = _titles(structures - had, vocabulary)
    if not by_part:
        return [Place(organ, tuple(parts), lacking)]
    places = [Place(unit.name, (unit,)) for unit in parts]
    return [*places, Place(organ, (), lacking)] if lacking else places


def _parts(structures: frozenset[str], units: Iterable[OrganUnit]) -> list[OrganUnit]:
    """The units within an organ, the finest that were looked for; those not looked for only where no other answers."""
    inside = [unit for unit in units if structures.issuperset(unit.structures)]
    known = [unit for unit in inside if unit.state is not State.NOT_COVERED]
    finest = [unit for unit in known if not any(set(other.structures) < set(unit.structures) for other in known)]
    answered = frozenset().union(*(unit.structures for unit in known))
    rest = [unit for unit in inside if unit.state is State.NOT_COVERED and not answered.issuperset(unit.structures)]
    keep = {unit.name for unit in (*finest, *rest)}
    return [unit for unit in inside if unit.name in keep]


def _wider(structures: frozenset[str], units: Iterable[OrganUnit]) -> OrganUnit | None:
    holding = [unit for unit in units if structures < set(unit.structures)]
    return min(holding, key=lambda unit: (unit.state is State.NOT_COVERED, len(unit.structures)), default=None)


def _titles(structures: Iterable[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Titles in the vocabulary's order; one composite's title where they are all of one."""
    wanted = set(structures)
    for composite in vocabulary.composites:
        if wanted and wanted == set(composite.parts):
            return (composite.title,)
    return tuple(organ.title for organ in vocabulary.organs if organ.name in wanted)
