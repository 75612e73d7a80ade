"""One question about one organ: a score of free text, and the catalogue's finding that means the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core import organ_absence
from medfm_core.anatomy import load_findings, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.card_inputs import OrganCrop
from medfm_core.card_library import load_card
from medfm_core.cards import ModelCard
from medfm_core.embedding import StudyEmbedding
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import InputError
from medfm_core.finding_places import Place, place_of
from medfm_core.finding_scores import SectionScore
from medfm_core.findings import StudyFacts, assess_findings, why_gone
from medfm_core.findings_model import Sentences, load_sentences
from medfm_core.free_text import FreeText, closest_finding, score_text, wrap_phrase
from medfm_core.measurements import State
from medfm_core.organ_boxes import units_of
from medfm_core.organ_finding import OrganFinding
from medfm_core.organ_units import PART_OUTSIDE, OrganUnit
from medfm_core.strict import to_dict


@dataclass(frozen=True)
class Question:
    """A phrase asked of an organ: a name of the vocabulary or of an organ unit."""

    organ: str
    phrase: str

    def check(self, card: ModelCard) -> None:
        """Refuse what no scan can answer.

        Args:
            card: the findings model's.

        Raises:
            InputError: there is no such organ, or the phrase is none.
        """
        wrap_phrase(self.phrase, self.organ)
        if self.organ not in units_of(card.input.organs):
            structures_of(self.organ, load_vocabulary())


@dataclass(frozen=True)
class Answer:
    """What free text says, and the catalogue beside it.

    Attributes:
        question: what was asked.
        model: id of the findings model.
        found: the score, and the section that has it; not calibrated.
        positive: the sentences that say yes.
        negative: the sentences that say no.
        cut: titles or names of the units of which only a part was seen.
        catalogue: results of the catalogue's finding that means the same, one per place in the organ; may be empty.
        likeness: of the phrase and that finding's words; None where none is alike enough.
    """

    question: Question
    model: str
    found: SectionScore
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    cut: tuple[str, ...] = ()
    catalogue: tuple[OrganFinding, ...] = ()
    likeness: float | None = None


def answer(question: Question, facts: StudyFacts, text: FreeText) -> Answer:
    """Answer a question about a scan whose organs are encoded.

    Args:
        question: what is asked.
        facts: the scan.
        text: the sentences' side of the model that encoded it, with its text tower.

    Raises:
        InputError: there is no such organ, the scan does not show it, or the phrase is none.
    """
    positive, negative = wrap_phrase(question.phrase, question.organ)
    place = place_of(question.organ, facts.units)
    seen = [unit for unit in place.units if unit.is_seen]
    sections = [section for unit in seen for section in facts.embedding.sections(unit.name)]
    if not sections:
        raise InputError(f"{question.organ} cannot be asked about: {why_gone(place)}", "ask about another organ")
    found = score_text(sections, positive, negative, text)
    catalogue, likeness = _catalogue(question, place, facts, text)
    cut = tuple(unit.name for unit in seen if unit.state is State.CUT)
    return Answer(question, text.sentences.card.id, found, positive, negative, cut, catalogue, likeness)


def as_data(found: Answer) -> dict[str, Any]:
    """An answer as JSON data, for programs."""
    return {
        "organ": found.question.organ,
        "phrase": found.question.phrase,
        "model": found.model,
        "calibrated": False,
        **to_dict(found.found.wording),
        "unit": found.found.unit,
        "section": found.found.section,
        "cut": list(found.cut),
        "positive": list(found.positive),
        "negative": list(found.negative),
        "likeness": found.likeness,
        "catalogue": [to_dict(finding) for finding in found.catalogue],
    }


def facts_of_result(folder: str | Path) -> tuple[StudyFacts, Sentences]:
    """What a folder of results knows of its organs, and the sentences' side of the model that encoded them.

    Raises:
        InputError: there are no embeddings, they are damaged, or their model is not here.
        WeightsError: the model's files are missing or damaged, or are not those that made the embeddings.
    """
    embedding = read_embeddings(folder)
    card = load_card(embedding.encoder.card)
    sentences = load_sentences(card)
    if sentences.encoder != embedding.encoder:
        raise InputError(
            f"the embeddings in {folder} were made by other weights than {card.id} has now",
            "run `medfm analyze` again",
        )
    return StudyFacts(_units(card.input.organs, embedding), embedding), sentences


def _units(crop: OrganCrop, embedding: StudyEmbedding) -> tuple[OrganUnit, ...]:
    """The model's units as far as embeddings tell: which are there, and which of these are cut."""
    vocabulary, units = load_vocabulary(), []
    for name, members in units_of(crop).items():
        structures = tuple(dict.fromkeys(part for member in members for part in vocabulary.expand(member)))
        states = {section.state for section in embedding.sections(name)}
        if not states:
            units.append(OrganUnit(name, structures, State.NOT_COVERED, "The result has no embedding of it."))
        elif "cut" in states:
            units.append(OrganUnit(name, structures, State.CUT, PART_OUTSIDE))
        else:
            units.append(OrganUnit(name, structures, State.PRESENT))
    return tuple(units)


def _catalogue(
    question: Question, place: Place, facts: StudyFacts, text: FreeText
) -> tuple[tuple[OrganFinding, ...], float | None]:
    """What the catalogue says of the finding that is meant, where the organ is."""
    structures = {part for unit in place.units for part in unit.structures}
    catalogue = load_findings()
    names = dict.fromkeys(
        kind.name for part in structures for kind in catalogue.of_organ(part) if kind.name not in organ_absence.NAMES
    )
    candidates = [kind for kind in catalogue if kind.name in names and text.sentences.wordings(kind.name) is not None]
    match = closest_finding(question.phrase, candidates, text.tower)
    if match is None:
        return (), None
    found = assess_findings([match.finding], facts, text.sentences, text.sentences.card.findings)
    here = tuple(f for f in found if f.score is not None and _told_here(f.organ, structures, facts))
    return (here, match.likeness) if here else ((), None)


def _told_here(organ: str, structures: set[str], facts: StudyFacts) -> bool:
    """Whether a finding's organ has to do with the one asked about, and all that is seen of it was encoded."""
    seen = [unit for unit in place_of(organ, facts.units).units if unit.is_seen]
    encoded = all(unit.name in facts.embedding.units for unit in seen)
    return encoded and any(not structures.isdisjoint(unit.structures) for unit in seen)
