"""How much of an organ the scan shows, for what is said about findings in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from medfm_core.anatomy import Vocabulary
from medfm_core.errors import InputError
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.report.text import Place

_RUNS_ON = "runs on"
_MATTERS = {
    State.CUT: "cut by the field of view",
    _RUNS_ON: "running on beyond the scan, as in any CT of the trunk",
    State.ABSENT: "not found by the organ model",
    State.OUTSIDE: "not in the scan",
    State.NOT_COVERED: "not covered by the organ model",
}


def members_of(organ: str, measured: Mapping[str, OrganMeasurement], vocabulary: Vocabulary) -> list[OrganMeasurement]:
    """The measurements that an organ, composite or group is made of.

    Args:
        organ: a name of the vocabulary; any other has no measurements.
        measured: by name.
        vocabulary: the organs.

    Returns:
        The organ's own entry where it was outlined as one, else those of its parts or members.
    """
    own = measured.get(organ)
    if own is not None and (own.state is not State.NOT_COVERED or not own.parts):
        return [own]
    try:
        names = vocabulary.expand(organ)
    except InputError:
        try:
            names = vocabulary.find_group(organ).members
        except InputError:
            return []
    return [measured[name] for name in names if name in measured]


def cut_note(members: Iterable[OrganMeasurement]) -> str:
    """What a row says of an organ that the scan does not show whole: "cut: bottom of the scan"; "" for a whole one."""
    cut = [m for m in members if m.state is State.CUT]
    if not cut:
        return ""
    faces = dict.fromkeys(face.replace(" of the scan", "") for m in cut for face in m.faces)
    word = _RUNS_ON if all(m.runs_on for m in cut) else "cut"
    return f"{word}: {', '.join(faces)}" if faces else word


def not_whole(
    places: Iterable[Place], measured: Mapping[str, OrganMeasurement], vocabulary: Vocabulary
) -> list[tuple[str, list[str]]]:
    """The organs of which the scan shows a part or nothing, by what is the matter.

    Args:
        places: organs that findings are about.
        measured: by name.
        vocabulary: the organs.

    Returns:
        (what is the matter, titles); nothing for organs that are there as a whole.
    """
    found: dict[str, dict[str, None]] = {matter: {} for matter in _MATTERS.values()}
    for place in sorted(places, key=lambda place: place.rank):
        members = members_of(place.organ, measured, vocabulary)
        matters = {_matter(m) for m in members}
        if len(matters) == 1:  # a group in one word
            found.setdefault(matters.pop(), {})[place.title] = None
            continue
        for m in members:
            found.setdefault(_matter(m), {})[m.title] = None
    found.pop("", None)
    return [(matter, list(titles)) for matter, titles in found.items() if titles]


def _matter(m: OrganMeasurement) -> str:
    return "" if m.state is State.PRESENT else _MATTERS[_RUNS_ON if m.runs_on else m.state]
