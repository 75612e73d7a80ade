"""The organs of a whole-body model in one scan: which of them there are, and why others are not. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_body import OrganSource
from medfm_core.embedding import Encoder, StudyEmbedding
from medfm_core.finding_places import title_of
from medfm_core.measurements import State
from medfm_core.organ_units import OrganUnit

PRESENT, CUT, MISSING = "present", "cut", "missing"
NO_SOURCE = "The model's card names no encoder for it."
A_TABLE = "The model reads measurements of it that this scan does not give."
OTHER_ENCODER = "Its vectors come from {}, which did not look at this scan."
NOT_LEARNT = "The model has not learnt it."
_GONE = {
    State.OUTSIDE: "It is not in the scan.",
    State.ABSENT: "It was not found in the scan.",
    State.NOT_COVERED: "The organ model does not outline it.",
}
OrganState = Literal["present", "cut", "missing"]


@dataclass(frozen=True)
class BodyOrgan:
    """One organ of a whole-body model in one scan.

    Attributes:
        name: of the model's organ, e.g. "kidney".
        state: "present", "cut" where the scan shows a part of it, or "missing": then it is not in the sequence.
        reason: a sentence or more for every state but present; also for a present organ, what it lacks.
        units: the encoder's organ units whose vectors stand for it; empty where it is missing.
        share: of the body token's attention, 0 to 1; None where it is missing.
    """

    name: str
    state: OrganState
    reason: str = ""
    units: tuple[str, ...] = ()
    share: float | None = None

    @property
    def title(self) -> str:
        """What a reader sees."""
        return organ_title(self.name)


def organ_title(name: str) -> str:
    """Title of an organ of a whole-body model, e.g. "Adipose tissue"."""
    titles = {group.name: group.title for group in load_vocabulary().pan_fm}
    return titles.get(name) or title_of(name)


def organ_values(source: OrganSource, embedding: StudyEmbedding) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of one organ, in training and in use.

    Args:
        source: whose units they are.
        embedding: of the organ units of one study.

    Returns:
        Vectors `(units, E)` float32, NaN for a unit that the study does not show, and which there are, `(units,)` bool.
    """
    known = np.array([unit in embedding.units for unit in source.units], dtype=bool)
    values = np.full((len(source.units), source.width), np.nan, np.float32)
    for place in np.flatnonzero(known):
        values[place] = embedding.of_organ(source.units[place])
    return values, known


def find_organs(
    names: Sequence[str], sources: Mapping[str, OrganSource], units: Iterable[OrganUnit], embedding: StudyEmbedding
) -> tuple[BodyOrgan, ...]:
    """Say of every organ of a model whether the scan gives it.

    Args:
        names: the model's organs, in its order.
        sources: where their values come from, by organ.
        units: every organ unit of the encoder in this scan.
        embedding: of those that the scan shows.
    """
    by_name = {unit.name: unit for unit in units}
    return tuple(_organ(name, sources.get(name), by_name, embedding) for name in names)


def is_made_by(source: OrganSource | None, encoder: Encoder) -> bool:
    """Whether an encoder, card and weights, makes the vectors of an organ."""
    return source is not None and (source.card, source.weights_sha256, source.width) == (
        encoder.card, encoder.weights_sha256, encoder.width,
    )  # fmt: skip


def _organ(
    name: str, source: OrganSource | None, units: Mapping[str, OrganUnit], embedding: StudyEmbedding
) -> BodyOrgan:
    if source is None:
        return BodyOrgan(name, MISSING, NO_SOURCE)
    if not is_made_by(source, embedding.encoder):
        return BodyOrgan(name, MISSING, OTHER_ENCODER.format(source.card) if source.card else A_TABLE)
    own = [units[unit] for unit in source.units if unit in units]
    seen = [unit for unit in own if unit.name in embedding.units]
    gone = [unit for unit in own if unit.name not in embedding.units]
    if not seen:
        return BodyOrgan(name, MISSING, _why_gone(gone))
    is_cut = any(unit.state in (State.CUT, State.OUTSIDE) for unit in own)
    reasons = list(dict.fromkeys(unit.reason for unit in seen if unit.reason))
    if gone:
        reasons.append(f"Without: {', '.join(title_of(unit.name) for unit in gone)}.")
    return BodyOrgan(name, CUT if is_cut else PRESENT, " ".join(reasons), tuple(unit.name for unit in seen))


def _why_gone(units: Sequence[OrganUnit]) -> str:
    """Why none of an organ's units is there; that it is outside says more than that it was not outlined."""
    state = next((state for state in _GONE if any(unit.state is state for unit in units)), None)
    if state is None:
        return "It was left out of this run."
    told = () if state is State.NOT_COVERED else units  # their reason says the same
    reasons = dict.fromkeys(unit.reason for unit in told if unit.state is state and unit.reason)
    return " ".join([_GONE[state], *reasons])
