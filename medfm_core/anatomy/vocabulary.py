"""The vocabulary of organs, read from `vocabulary/organs.json` in the Resources folder.

| ids | what |
|---|---|
| 1 to 117 | the structures of TotalSegmentator v2's task `total`, with its names |
| 118 to 199 | free for further single structures |
| 200 to 254 | composites: unions of organs, for models that do not tell the parts apart |

Every label map that MedFM writes uses these ids, whatever the model, so 5 is always the liver.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.settings import read_settings
from medfm_core.strict import unknown_name

ORGAN_IDS = range(1, 200)
COMPOSITE_IDS = range(200, 255)
SIDES = (None, "left", "right")


@dataclass(frozen=True)
class Code:
    """One coded concept as DICOM writes it: coding scheme designator, code value, code meaning."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Organ:
    """One structure, or one composite of structures.

    Attributes:
        id: the value in label maps.
        name: the TotalSegmentator v2 name, or the composite's own.
        title: what a reader sees, e.g. "Right kidney".
        side: "left", "right" or None.
        group: the group of `Vocabulary.groups` that it belongs to first of all.
        system: the heading it stands under in a report, a key of `Vocabulary.systems`.
        code: SNOMED CT code of the structure, or of the lesion for a cyst; None where none is known for certain.
        laterality: the modifier to send beside `code` (or beside `region` where there is one); None where the code
            already says the side or the structure has none.
        region: the structure in which a coded lesion or part lies, where the code needs one.
        category: DICOM segmented property category.
        colour: display colour, `(red, green, blue)`, 0 to 255.
        runs_on: faces through which it leaves any CT of the trunk, of "SIRLAP": the spinal cord at the top, "S".
        parts: names of the united organs of a composite; empty for an organ.
    """

    id: int
    name: str
    title: str
    side: str | None
    group: str
    system: str
    code: Code | None
    laterality: Code | None
    region: Code | None
    category: Code
    colour: tuple[int, int, int]
    runs_on: str = ""
    parts: tuple[str, ...] = ()

    @property
    def is_composite(self) -> bool:
        """Whether this is a union of organs."""
        return bool(self.parts)


@dataclass(frozen=True)
class Group:
    """The organs that answer for one anatomical word, such as "lung" or "kidney".

    Attributes:
        name: how programs call it.
        title: how a reader sees it.
        members: organ names; empty where the vocabulary has no label for it, and `note` says so.
        aliases: other words for it in reports, lower case.
        note: what the members leave out; empty where they cover the word.
    """

    name: str
    title: str
    members: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """All organs, composites and groups.

    Attributes:
        organs: the 117 single structures, by id.
        composites: the unions, by id.
        groups: which organs answer for which word; an organ may be in several.
        pan_fm: the seven organs of Pan-FM in its order; adipose tissue has no label, so its members are empty.
        systems: heading of each system, in the order of a report.
    """

    organs: tuple[Organ, ...]
    composites: tuple[Organ, ...]
    groups: tuple[Group, ...]
    pan_fm: tuple[Group, ...]
    systems: Mapping[str, str]

    @cached_property
    def _names(self) -> dict[str, Organ]:
        return {organ.name: organ for organ in (*self.organs, *self.composites)}

    @cached_property
    def _ids(self) -> dict[int, Organ]:
        return {organ.id: organ for organ in (*self.organs, *self.composites)}

    @cached_property
    def _groups(self) -> dict[str, Group]:
        named = {_words(alias): group for group in reversed(self.groups) for alias in group.aliases}
        return named | {_words(group.name): group for group in self.groups}

    def by_name(self, name: str) -> Organ:
        """The organ or composite of that name.

        Raises:
            InputError: there is none; the nearest names are given.
        """
        if name not in self._names:
            raise InputError(unknown_name("organ", name, self._names))
        return self._names[name]

    def by_id(self, number: int) -> Organ:
        """The organ or composite with that label value.

        Raises:
            InputError: there is none.
        """
        if number not in self._ids:
            raise InputError(
                f"no organ has the number {number}", "use 1 to 117 for organs or 200 upwards for composites"
            )
        return self._ids[number]

    def find_group(self, name: str) -> Group:
        """The group of that name or alias, in any case and with spaces or underscores.

        Raises:
            InputError: there is none; the nearest names are given.
        """
        if _words(name) not in self._groups:
            raise InputError(unknown_name("organ group", name, self._groups))
        return self._groups[_words(name)]

    def group(self, name: str) -> tuple[Organ, ...]:
        """The organs that answer for a group's name or alias, e.g. "kidney"; composites are not among them."""
        return tuple(self._names[member] for member in self.find_group(name).members)

    def answering(self, group: str, available: Iterable[str]) -> tuple[Organ, ...]:
        """Which of a model's classes answer for a group.

        A composite answers when all its parts belong to the group, so "vertebrae" answers for "spine" but not for
        "lumbar_spine".

        Args:
            group: a group's name or alias.
            available: names of the organs and composites that the model can tell.

        Returns:
            The classes, in the order of `available`.
        """
        members = set(self.find_group(group).members)
        return tuple(self.by_name(name) for name in available if members.issuperset(self.expand(name)))

    def expand(self, name: str) -> tuple[str, ...]:
        """The organ names that a name stands for: a composite's parts, or the organ itself."""
        return self.by_name(name).parts or (name,)

    def colour(self, number: int) -> tuple[int, int, int]:
        """The display colour of a label value, `(red, green, blue)`, 0 to 255."""
        return self.by_id(number).colour

    def names(self) -> dict[int, str]:
        """Label value to name, organs and composites."""
        return {number: organ.name for number, organ in self._ids.items()}


def load_vocabulary(folder: str | Path | None = None) -> Vocabulary:
    """Read the vocabulary; a second call gives the same object.

    Args:
        folder: the Resources folder; by default the one of the settings.

    Raises:
        InputError: the file is missing, or not a consistent vocabulary.
    """
    return _load(Path(folder or read_settings().resources) / "vocabulary" / "organs.json")


@lru_cache(maxsize=4)
def _load(path: Path) -> Vocabulary:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = _vocabulary(data)
        _check(vocabulary)
    except OSError as error:
        raise InputError(f"cannot read the vocabulary {path}", "install MedFM anew or set MEDFM_RESOURCES") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the vocabulary {path} is not usable: {error!r}", "install MedFM anew") from error
    return vocabulary


def _vocabulary(data: dict) -> Vocabulary:
    coding = data["coding"]

    def code(pair: list | None) -> Code | None:
        return None if pair is None else Code(coding["scheme"], *pair)

    def organ(entry: dict) -> Organ:
        side = entry.pop("laterality")
        return Organ(
            code=code(entry.pop("code")),
            laterality=code(coding["laterality"][side]) if side else None,
            region=code(entry.pop("region", None)),
            category=code(entry.pop("category", coding["category"])),
            colour=tuple(entry.pop("colour")),
            parts=tuple(entry.pop("parts", ())),
            **entry,
        )

    def group(entry: dict) -> Group:
        return Group(members=tuple(entry.pop("members")), aliases=tuple(entry.pop("aliases", ())), **entry)

    return Vocabulary(
        organs=tuple(map(organ, data["organs"])),
        composites=tuple(map(organ, data["composites"])),
        groups=tuple(map(group, data["groups"])),
        pan_fm=tuple(map(group, data["pan_fm"])),
        systems=dict(data["systems"]),
    )


def _check(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary whose parts contradict each other.

    Raises:
        ValueError: what is wrong with which entry.
    """
    everything = (*vocabulary.organs, *vocabulary.composites)
    for what in ("id", "name", "colour"):
        _once(f"the {what}", [getattr(organ, what) for organ in everything])
    _once("the group", [group.name for group in vocabulary.groups])
    names = {organ.name for organ in vocabulary.organs}
    members = {group.name: set(group.members) for group in vocabulary.groups}
    for group in (*vocabulary.groups, *vocabulary.pan_fm):
        if not names.issuperset(group.members) or not (group.members or group.note):
            raise ValueError(f"group {group.name} has unknown members, or none and no note")
    for organ in everything:
        ids, own = (COMPOSITE_IDS, set(organ.parts)) if organ.parts else (ORGAN_IDS, {organ.name})
        wrong = {
            f"id {organ.id}": organ.id not in ids,
            f"side {organ.side}": organ.side not in SIDES,
            f"system {organ.system}": organ.system not in vocabulary.systems,
            f"group {organ.group}": not own <= members.get(organ.group, set()),
            f"runs_on {organ.runs_on}": not set(organ.runs_on) <= set("SIRLAP"),
            f"colour {organ.colour}": len(organ.colour) != 3 or not all(0 <= value <= 255 for value in organ.colour),
        }
        if any(wrong.values()):
            raise ValueError(f"{organ.name}: {', '.join(what for what, is_wrong in wrong.items() if is_wrong)}")


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def _once(what: str, values: list) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{what} {next(value for value in values if values.count(value) > 1)} is there twice")
