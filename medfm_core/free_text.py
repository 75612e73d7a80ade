"""Free text: an organ compared with sentences of the user's own, and the catalogue's finding that is meant by them.

This needs the text tower that the model was trained with; the catalogue's own wordings need none. A score of free text
is not calibrated: it tells which of two sentences fits better, not whether a finding is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.anatomy import FindingKind
from medfm_core.embedding import OrganEmbedding
from medfm_core.errors import InputError, WeightsError
from medfm_core.finding_places import title_of
from medfm_core.finding_scores import SectionScore, best_section

if TYPE_CHECKING:
    from medfm_core.findings_model import Sentences
    from medfm_core.models.text import TextTower

# Below it, sentences of the same form about two unlike findings are common (all-MiniLM-L6-v2, this catalogue).
LEAST_LIKENESS = 0.75
_LONGEST = 300


@dataclass(frozen=True, eq=False)
class FreeText:
    """The sentences' side of a findings model and the text tower that it was trained with."""

    sentences: Sentences
    tower: TextTower

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed sentences as the wordings of the catalogue are, `(N, E)` float32 of length 1.

        Raises:
            InputError: a sentence is empty, or the tower is of another width.
        """
        from medfm_core.prompts import embed_sentences

        return embed_sentences(texts, self.tower, self.sentences.projection).numpy()


def load_free_text(sentences: Sentences) -> FreeText:
    """Load the text tower of a findings model.

    Raises:
        InputError: the card names a tower that is not known.
        ResourceError: the tower is not on this machine; says what to do.
        WeightsError: its files are damaged, or the prompts were made with another tower.
    """
    from medfm_core.text_towers import load_tower_of

    tower = load_tower_of(sentences.card, sentences.text_tower)
    made_with = sentences.prompts.source.text_tower
    if tower.id != made_with:
        raise WeightsError(
            f"the prompts of {sentences.card.id} were made with the text tower {made_with}, and {tower.id} is here",
            "use the text tower that belongs to the model card",
        )
    return FreeText(sentences, tower)


def score_text(
    sections: OrganEmbedding | Sequence[OrganEmbedding],
    positive: str | Sequence[str],
    negative: str | Sequence[str],
    text: FreeText,
) -> SectionScore:
    """Score an organ for sentences of one's own; the score is not calibrated.

    Args:
        sections: the organ, all of its sections and parts; the best of them counts.
        positive: what says that it is there, whole sentences.
        negative: what says that it is not.
        text: model and text tower.

    Raises:
        InputError: no sections, an empty sentence, or none.
    """
    sections = [sections] if isinstance(sections, OrganEmbedding) else list(sections)
    sides = [[side] if isinstance(side, str) else list(side) for side in (positive, negative)]
    if not sections:
        raise InputError("there is no organ to compare the text with", "choose an organ that is in the scan")
    vectors = text.embed([*sides[0], *sides[1]])
    count = len(sides[0])
    return best_section(sections, (vectors[:count], vectors[count:]), text.sentences.scale)


def wrap_phrase(phrase: str, organ: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make sentences that say that a phrase is true of an organ, and that it is not.

    Args:
        phrase: a few words such as "steatosis" or "a cyst in the upper pole", or a whole sentence, which is kept.
        organ: name of the vocabulary or of an organ unit.

    Returns:
        Positive and negative sentences, three of each; with a whole sentence one positive.

    Raises:
        InputError: the phrase is empty or too long.
    """
    words = " ".join(phrase.split())
    if not any(letter.isalpha() for letter in words) or len(words) > _LONGEST:
        raise InputError(
            f"the text {phrase[:40]!r} is no phrase",
            f"give a few words, at most {_LONGEST} letters, such as 'steatosis'",
        )
    place = title_of(organ)
    place = place[0].lower() + place[1:] if place[1:2].islower() else place
    plain = words.rstrip(".")
    plain = plain[0].lower() + plain[1:] if plain[1:2].islower() or len(plain) == 1 else plain
    start = plain[0].upper() + plain[1:]
    positive = (f"{start}.", f"There is {plain}.", f"{start} of the {place}.")
    negative = (f"No {plain}.", f"There is no {plain}.", f"No {plain} of the {place}.")
    return ((words,), negative) if words.endswith(".") else (positive, negative)


@dataclass(frozen=True)
class Match:
    """The catalogue's finding that a phrase means, and how alike the words are, -1 to 1."""

    finding: FindingKind
    likeness: float


def closest_finding(phrase: str, candidates: Iterable[FindingKind], tower: TextTower) -> Match | None:
    """Find the finding of the catalogue that a phrase means.

    Args:
        phrase: what the user asked for.
        candidates: the findings that are looked for in the organ.
        tower: any text tower; its own vectors are compared, before any model's projection.

    Returns:
        The finding whose label or one of whose positive wordings is most alike; None where none is alike enough.
    """
    candidates = tuple(candidates)
    asked = _plain(phrase)
    for finding in candidates:
        if asked in (_plain(finding.label), _plain(finding.name)):
            return Match(finding, 1.0)
    texts = [(finding, text) for finding in candidates for text in (finding.label, *finding.positive)]
    if not texts:
        return None
    vectors = tower.encode([f"There is {asked}.", *(text for _, text in texts)]).numpy().astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    likeness = vectors[1:] @ vectors[0]
    best = int(likeness.argmax())
    return Match(texts[best][0], float(likeness[best])) if likeness[best] >= LEAST_LIKENESS else None


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").rstrip(".").split())
