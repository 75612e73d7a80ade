"""What a whole-body model adds to the pipeline: which one runs, the stage, and the manifest's entry.

It runs where its card is there and the vectors that it takes are those of the findings model in use. Without one
nothing of this happens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medfm_core.card_library import list_cards, load_card
from medfm_core.cards import ModelCard
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.present import is_fetched, require_files
from medfm_core.whole_body import body_block, embed_body

if TYPE_CHECKING:
    from medfm_core.analysis import Analysis, Options, Work

TASK = "whole_body_embedding"
NONE = "none"


def choose_card(options: Options, findings_card: ModelCard | None) -> ModelCard | None:
    """The whole-body model that a run uses; None where it uses none.

    Of several that fit, the default one runs, else a shipped one, else the first by its id.

    Args:
        options: `body_card` names one, or says "none".
        findings_card: the model whose organ vectors there will be; None where there will be none.

    Raises:
        InputError: the model that was asked for is not there, is for another task, or takes other vectors.
        WeightsError: its weights are not there.
    """
    wish = options.body_card
    if wish == NONE or (wish is None and findings_card is None):
        return None
    if wish is None:
        cards = [card for card in list_cards() if card.task == TASK and _fits(card, findings_card) and _is_here(card)]
        return min(cards, key=lambda c: (not c.default, c.source.kind != "shipped", c.id), default=None)
    card = load_card(wish)
    if card.task != TASK:
        raise InputError(f"the model {card.id} is for {card.task}, not for whole bodies", "see `medfm models list`")
    if findings_card is None:
        raise InputError("a whole-body model needs organ vectors, and none are made", "leave --no-findings out")
    if not _fits(card, findings_card):
        made = ", ".join(sorted({source.card for source in card.input.body.values() if source.card})) or "no encoder"
        raise InputError(
            f"the whole-body model {card.id} takes vectors of {made} with the weights that its card names, and those "
            f"of the findings model {findings_card.id} are others",
            "name the findings model that it was made for by --findings-model",
        )
    require_files(card)
    return card


def embed(analysis: Analysis, work: Work) -> Analysis:
    """Make the vector of the whole body from the organs' vectors."""
    from medfm_core.models.pan_fm_weights import load_pan_fm

    net = load_pan_fm(analysis.body_card)
    body = embed_body(analysis.body_card, net, analysis.encoded)
    encoded = analysis.encoded
    embedding = replace(encoded.embedding, body=body.embedding)
    return replace(analysis, body=body, encoded=replace(encoded, embedding=embedding))


def manifest_entry(analysis: Analysis) -> dict[str, Any]:
    """`{"whole_body": ...}` for the manifest; empty where no whole-body model ran."""
    return {} if analysis.body is None else {"whole_body": body_block(analysis.body, analysis.body_card)}


def _fits(card: ModelCard, findings_card: ModelCard) -> bool:
    """Whether the findings model makes the vectors of an organ of the card at least."""
    try:
        encoder = (findings_card.id, findings_card.sha256_of("weights"))
    except WeightsError:  # not fetched: the run will say so
        return False
    return any((source.card, source.weights_sha256) == encoder for source in card.input.body.values())


def _is_here(card: ModelCard) -> bool:
    return card.source.kind != "hub" or is_fetched(card)
