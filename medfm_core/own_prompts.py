"""Prompt embeddings of published models, made on this machine: their owners ship none.

They lie beside the weights, under a name that holds the digest of the wordings, the catalogue's or the card's own:
other wordings make another file.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.anatomy import FindingKind, Question, load_findings
from medfm_core.cards import ModelCard
from medfm_core.errors import MedFMError
from medfm_core.progress import SILENT, Progress
from medfm_core.text_towers import load_tower_of

if TYPE_CHECKING:
    from medfm_core.models.text_projection import TextProjection
    from medfm_core.prompts import PromptCache

log = logging.getLogger(__name__)


def asked_findings(card: ModelCard) -> tuple[FindingKind, ...]:
    """The findings that a model is asked about, in the catalogue's order."""
    return tuple(kind for kind in load_findings() if not card.asks or kind.name in card.asks)


def questions(card: ModelCard) -> tuple[Question, ...]:
    """What a model is asked about each of its findings: the catalogue's sentences, or the card's with its own names."""
    if card.wordings is None:
        return tuple(Question(kind.name, kind.positive, kind.negative) for kind in asked_findings(card))
    yes, no, benchmark = card.wordings.positive, card.wordings.negative, card.wordings.benchmark
    named = ((kind.name, kind.benchmarks[benchmark]) for kind in asked_findings(card))
    return tuple(
        Question(name, tuple(one.format(called) for one in yes), tuple(one.format(called) for one in no))
        for name, called in named
    )


def own_prompts(
    card: ModelCard, projection: TextProjection, tower_name: str, root: Path, progress: Progress = SILENT
) -> PromptCache:
    """Read the prompt embeddings of a model whose card brings none, or make and keep them.

    Args:
        card: the findings model's.
        projection: of its sentence vectors.
        tower_name: of its text tower, where it has no text encoder of its own.
        root: the folder of its files.
        progress: told of the sentences; making them takes minutes.

    Raises:
        ResourceError: a package is missing, or the text tower is not on this machine.
        WeightsError: files are missing or damaged.
    """
    from medfm_core.prompts import build_prompt_cache, read_prompt_cache

    asked = questions(card)
    sha256 = card.sha256_of("weights", root)
    path = root / f"medfm-prompts-{_digest(asked, card.sha256_of('text', root))}.safetensors"
    if path.is_file():
        return read_prompt_cache(path, sha256, projection.linear.out_features, load_findings())
    tower = load_tower_of(card, tower_name, root)
    made = build_prompt_cache(asked, tower, projection, sha256, progress)
    try:
        made.write(path)
    except MedFMError as error:  # a cache that only an administrator may write; the values are good all the same
        log.warning("the prompt embeddings of %s cannot be kept: %s", card.id, error.what)
    return made


def _digest(asked: tuple[Question, ...], text_sha256: str) -> str:
    digest = hashlib.sha256(text_sha256.encode())
    for question in asked:
        for sentence in (*question.positive, "|", *question.negative, question.name):
            digest.update(sentence.encode() + b"\0")
    return digest.hexdigest()[:12]
