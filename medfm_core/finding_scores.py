"""How well an organ fits the sentences that say that a finding is there, against those that say that it is not.

No torch here: embeddings are numpy arrays of length 1, and there are few of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from medfm_core.embedding import OrganEmbedding
from medfm_core.errors import InputError


@dataclass(frozen=True)
class WordingScore:
    """A score and what the choice of words does to it.

    Attributes:
        score: of the two-way softmax over mean positive and mean negative logit, 0 to 1.
        spread: lowest and highest score of one wording alone against the mean of the other polarity; the score lies
            between them.
    """

    score: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class SectionScore:
    """The score of one section of one organ unit."""

    unit: str
    section: int
    wording: WordingScore


def score_wordings(vector: np.ndarray, positive: np.ndarray, negative: np.ndarray, scale: float) -> WordingScore:
    """Score one organ for one finding.

    The logit of a sentence is its cosine with the organ times `scale`. The bias that the loss learns beside the scale
    is the same for every sentence and falls out of the softmax.

    Args:
        vector: the organ's embedding, `(E,)` of length 1.
        positive: embeddings of the sentences that say that the finding is there, `(P, E)` of length 1.
        negative: of those that say that it is not, `(N, E)` of length 1.
        scale: positive; the exponential of the model's `logits.scale`.

    Raises:
        InputError: no sentences, sentences of another width, or a scale that is not positive.

    Source: TotalFM spec, sections 1.11 and 3.2 (mean logits of a prompt ensemble, two-way softmax); the spread is ours.
    """
    vector = np.asarray(vector, dtype=np.float64)
    yes, no = (_logits(vector, sentences, scale) for sentences in (positive, negative))
    alone = np.concatenate([yes - no.mean(), yes.mean() - no])
    return WordingScore(_sigmoid(yes.mean() - no.mean()), (_sigmoid(alone.min()), _sigmoid(alone.max())))


def best_section(
    sections: Iterable[OrganEmbedding], wordings: tuple[np.ndarray, np.ndarray], scale: float
) -> SectionScore | None:
    """The section that fits a finding best, of all sections of all parts of an organ.

    Args:
        sections: of one organ unit or several.
        wordings: embeddings of positive and negative sentences, `(P, E)` and `(N, E)`.
        scale: as in `score_wordings`.

    Returns:
        The one with the highest score, the first of equals; None where there are no sections.
    """
    scored = [
        SectionScore(section.unit, section.section, score_wordings(section.vector, *wordings, scale))
        for section in sections
    ]
    return max(scored, key=lambda found: found.wording.score, default=None)


def _logits(vector: np.ndarray, sentences: np.ndarray, scale: float) -> np.ndarray:
    sentences = np.asarray(sentences, dtype=np.float64)
    if sentences.ndim != 2 or not len(sentences):
        raise InputError("a finding needs positive and negative sentences", "give at least one of each")
    if sentences.shape[1:] != vector.shape:
        raise InputError(
            f"the sentences have {sentences.shape[1]} values each and the organ has {vector.size}",
            "use embeddings of one model",
        )
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"the scale of the similarities is {scale}", "use the weights that belong to the model card")
    return scale * (sentences @ vector)


def _sigmoid(value: float) -> float:
    """`1 / (1 + exp(-value))` without overflow; the two-way softmax of logits that differ by `value`."""
    small = np.exp(-abs(value))
    return float(1 / (1 + small) if value >= 0 else small / (1 + small))
