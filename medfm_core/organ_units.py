"""Which organ units a scan shows: what the measurements say of single structures, said of the units of an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medfm_core.anatomy import Vocabulary, load_vocabulary
from medfm_core.card_inputs import OrganCrop
from medfm_core.measurements import OrganMeasurement, State

_GONE = (State.ABSENT, State.OUTSIDE, State.NOT_COVERED)
PART_OUTSIDE = "Part of it is outside the scan."
RUNS_ON = "Said of the part within the scan; it runs on beyond it, as in any CT of the trunk."
TOO_SMALL = "What was outlined of it is smaller than a voxel of the model."
SLIVER_MM = 15  # less of a structure than this, head to foot, at an end of the scan says nothing about it
_ENDS = ("top of the scan", "bottom of the scan")


@dataclass(frozen=True)
class OrganUnit:
    """One organ unit in one scan.

    Attributes:
        name: of the unit.
        structures: the single structures that it is made of.
        state: as of a measurement; "cut" also where some of its structures were not looked for or lie outside.
        reason: one sentence or more for every state but present; also for a present unit, what it lacks.
    """

    name: str
    structures: tuple[str, ...]
    state: State
    reason: str = ""

    @property
    def is_seen(self) -> bool:
        """Whether there is something to encode: present or cut."""
        return self.state not in _GONE

    def lost(self, reason: str = TOO_SMALL) -> OrganUnit:
        """The same unit, not found after all."""
        return replace(self, state=State.ABSENT, reason=reason)


def organ_units(crop: OrganCrop, measurements: Iterable[OrganMeasurement]) -> tuple[OrganUnit, ...]:
    """Say of every unit of an encoder whether the scan shows it.

    Args:
        crop: the card's rule. Where it names no units, each structure that was outlined by itself is one, and each
            that was not outlined at all.
        measurements: of the scan, those of structures that are not covered included.

    Returns:
        In the card's order, or in that of the measurements; for a model of whole scans, one unit of every structure.
    """
    if crop.whole:
        from medfm_core.whole_scan import whole_scan_unit

        return (whole_scan_unit(),)
    vocabulary = load_vocabulary()
    by_name = {m.name: m for m in measurements}
    named = crop.units or {name: (name,) for name, m in by_name.items() if not m.parts}
    return tuple(_unit(name, members, by_name, vocabulary) for name, members in named.items())


def _unit(
    name: str, members: Sequence[str], measured: Mapping[str, OrganMeasurement], vocabulary: Vocabulary
) -> OrganUnit:
    structures = tuple(dict.fromkeys(part for member in members for part in vocabulary.expand(member)))
    single = [m for member in members for m in _single(member, measured, vocabulary)]
    return OrganUnit(name, structures, *_combined([_without_sliver(m) for m in single]))


def _single(name: str, measured: Mapping[str, OrganMeasurement], vocabulary: Vocabulary) -> list[OrganMeasurement]:
    """The measurements with a label of their own that a member stands for."""
    own = measured.get(name)
    if own is not None and not own.parts:
        return [own]
    return [measured[part] for part in vocabulary.expand(name) if part in measured and part != name]


def _without_sliver(part: OrganMeasurement) -> OrganMeasurement:
    """A structure of which an end of the scan shows next to nothing counts as outside."""
    if not set(part.faces) & set(_ENDS) or part.extent_mm is None or part.extent_mm[2] >= SLIVER_MM:
        return part
    height = f"{part.extent_mm[2]:.0f} mm"
    return replace(part, state=State.OUTSIDE, reason=f"The scan shows only {height} of it, too little to judge.")


def _combined(parts: Sequence[OrganMeasurement]) -> tuple[State, str]:
    """The state of several structures taken together, and why."""
    if not parts:
        return State.NOT_COVERED, "The organ model does not know it."
    seen = [part for part in parts if part.is_seen]
    if not seen:
        # A part outside the scan says more than one that was not looked for.
        state = next(state for state in (State.OUTSIDE, State.ABSENT, State.NOT_COVERED) if state in _states(parts))
        return state, " ".join(dict.fromkeys(part.reason for part in parts if part.state is state and part.reason))
    gone = [part for part in parts if not part.is_seen]
    cut = State.OUTSIDE in _states(gone) or any(part.state is State.CUT and not part.runs_on for part in seen)
    reasons = [PART_OUTSIDE] if cut else [RUNS_ON] if any(part.runs_on for part in seen) else []
    if gone:
        reasons.append(f"Without: {', '.join(part.title for part in gone)}.")
    partial = cut or State.NOT_COVERED in _states(gone)
    return State.CUT if partial else State.PRESENT, " ".join(reasons)


def _states(parts: Iterable[OrganMeasurement]) -> set[State]:
    return {part.state for part in parts}
