"""What the page says of the whole body: a bar of the organs' shares of the attention, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from medfm_core.analysis import Analysis
from medfm_core.anatomy import Vocabulary, load_vocabulary
from medfm_core.body_organs import CUT, MISSING, NOT_LEARNT, BodyOrgan, organ_title
from medfm_core.whole_body import MEANING, NOTHING

WIDTH = 1000.0  # of the drawing
CUT_WORDS = "cut by the field of view"
_NO_COLOUR = (128, 128, 128)


@dataclass(frozen=True)
class BodyPart:
    """One organ's part of the bar.

    Attributes:
        title: of the organ.
        percent: its share, e.g. "31 %".
        start: left end on the drawing.
        width: of the part.
        colour: for a style sheet.
        is_cut: whether the scan shows only a part of the organ.
        reason: what there is to know of it.
    """

    title: str
    percent: str
    start: float
    width: float
    colour: str
    is_cut: bool
    reason: str


@dataclass(frozen=True)
class BodySection:
    """Everything that the page shows of the whole body.

    Attributes:
        model: id of the whole-body card.
        encoder: id of the card that made the organs' vectors.
        width: numbers of the vector; None without one.
        parts: of the bar, the largest share first.
        missing: (title, reason) of the organs that are not in the sequence.
        words: the bar as a sentence.
        sentence: what this is, or why there is nothing.
        limits: what the card says that the model cannot do.
    """

    model: str
    encoder: str
    width: int | None
    parts: tuple[BodyPart, ...]
    missing: tuple[tuple[str, str], ...]
    words: str
    sentence: str
    limits: tuple[str, ...] = ()


def body_section(analysis: Analysis) -> BodySection | None:
    """Gather what is to be shown; None where no whole-body model ran."""
    body = analysis.body
    if body is None:
        return None
    parts = _parts(sorted(body.seen, key=lambda organ: -(organ.share or 0.0)), load_vocabulary())
    missing = [(organ.title, organ.reason) for organ in body.of_state(MISSING)]
    missing += [(organ_title(name), NOT_LEARNT) for name in body.not_known]
    words = ", ".join(f"{part.title} {part.percent}{f', {CUT_WORDS}' if part.is_cut else ''}" for part in parts)
    return BodySection(
        model=body.model.card,
        encoder=body.encoder.card,
        width=None if body.vector is None else body.model.width,
        parts=parts,
        missing=tuple(missing),
        words=f"Shares of the attention: {words}",
        sentence=NOTHING if body.vector is None else MEANING,
        limits=tuple(analysis.body_card.limits) if analysis.body_card else (),
    )


def _parts(organs: list[BodyOrgan], vocabulary: Vocabulary) -> tuple[BodyPart, ...]:
    parts, start = [], 0.0
    for organ in organs:
        share = organ.share or 0.0
        colour = _colour(organ.name, vocabulary)
        parts.append(
            BodyPart(
                title=organ.title,
                percent=f"{100 * share:.0f} %",
                start=round(WIDTH * start, 1),
                width=round(WIDTH * share, 1),
                colour="#{:02x}{:02x}{:02x}".format(*colour),
                is_cut=organ.state == CUT,
                reason=organ.reason,
            )
        )
        start += share
    return tuple(parts)


def _colour(name: str, vocabulary: Vocabulary) -> tuple[int, int, int]:
    """The colour of the organ's first structure, as the outlines have it."""
    members = next((group.members for group in vocabulary.pan_fm if group.name == name), (name,))
    known = set(vocabulary.names().values())
    return next((vocabulary.by_name(member).colour for member in members if member in known), _NO_COLOUR)
