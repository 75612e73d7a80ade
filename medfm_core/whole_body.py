"""One vector of a whole body from whichever organs a scan shows, and how the model's attention falls on them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.body_organs import CUT, MISSING, PRESENT, BodyOrgan, find_organs, organ_values
from medfm_core.cards import ModelCard
from medfm_core.embedding import BodyEmbedding, Encoder
from medfm_core.errors import WeightsError

if TYPE_CHECKING:
    from medfm_core.models.pan_fm import PanFM
    from medfm_core.organ_encoding import EncodedOrgans

MEANING = (
    "The whole-body model is a reconstruction of a published design from its abstract. An organ's share is the part of "
    "the attention that falls on it where the last layer gathers the body's vector: it says where the model looked, "
    "not how ill an organ is and not how much it matters for any disease; organs that enter as more vectors draw more "
    "of it by their number alone."
)
NOTHING = "The scan shows none of the organs that the whole-body model knows, so there is no vector of the whole body."


@dataclass(frozen=True, eq=False)
class WholeBody:
    """What a whole-body model makes of one scan.

    Attributes:
        model: card, weights and width of the whole-body model.
        encoder: what made the organs' vectors.
        organs: every organ of the model, in its order.
        vector: `(E,)` float32 of length 1; None where the scan shows none of the organs.
        seconds: time taken.
    """

    model: Encoder
    encoder: Encoder
    organs: tuple[BodyOrgan, ...]
    vector: np.ndarray | None = None
    seconds: float = 0.0

    def of_state(self, *states: str) -> tuple[BodyOrgan, ...]:
        """The organs in these states, in the model's order."""
        return tuple(organ for organ in self.organs if organ.state in states)

    @property
    def seen(self) -> tuple[BodyOrgan, ...]:
        """The organs in the sequence, whole or cut."""
        return self.of_state(PRESENT, CUT)

    @property
    def not_known(self) -> tuple[str, ...]:
        """Organs of the published design that this model does not have."""
        own = {organ.name for organ in self.organs}
        return tuple(group.name for group in load_vocabulary().pan_fm if group.name not in own)

    @property
    def embedding(self) -> BodyEmbedding | None:
        """For the files of embeddings; None where there is no vector."""
        if self.vector is None:
            return None
        return BodyEmbedding(self.model, tuple(organ.name for organ in self.seen), self.vector)


def embed_body(card: ModelCard, net: PanFM, encoded: EncodedOrgans) -> WholeBody:
    """Make the vector of a whole body.

    Organs that the scan does not show are not in the sequence; those that are cut are in it and said to be cut.

    Args:
        card: of the whole-body model.
        net: loaded from it.
        encoded: the organ units of the scan.

    Returns:
        The vector and the shares; without a vector where no organ is there.

    Raises:
        WeightsError: the model gives values that are no numbers.
    """
    import torch

    start, embedding, sources = time.perf_counter(), encoded.embedding, card.input.body
    identity = Encoder(card.id, card.sha256_of("weights"), 2 * net.config.width)
    organs = find_organs(net.config.names, sources, encoded.units, embedding)
    made = WholeBody(identity, embedding.encoder, organs)
    if not made.seen:
        return replace(made, seconds=time.perf_counter() - start)
    batch: dict[str, torch.Tensor] = {}
    for organ in made.seen:
        values, known = organ_values(sources[organ.name], embedding)
        batch[f"organ.{organ.name}"] = torch.from_numpy(values)[None]
        batch[f"known.{organ.name}"] = torch.from_numpy(known)[None]
    with torch.inference_mode():
        tokens = net.embed(batch)
        features = net.run(tokens, readout=True)
        vector = net.vector(tokens, features)[0].double().numpy()
        attention = net.sum_by_organ(features.attention)[0].double().numpy()
    length, total = np.linalg.norm(vector), attention.sum()
    if not np.isfinite(vector).all() or length == 0 or not total > 0:
        raise WeightsError(f"the whole-body model {card.id} gives no usable numbers", "use the original weights")
    shares = dict(zip(net.config.names, (attention / total).tolist(), strict=True))
    organs = tuple(organ if organ.state == MISSING else replace(organ, share=shares[organ.name]) for organ in organs)
    return replace(
        made, organs=organs, vector=(vector / length).astype(np.float32), seconds=time.perf_counter() - start
    )


def body_block(body: WholeBody, card: ModelCard) -> Mapping[str, Any]:
    """What the manifest says of it."""
    return {
        "model": {"id": card.id, "card_sha256": card.digest, "licence": card.licence,
                  "weights_sha256": body.model.weights_sha256, "width": body.model.width},
        "encoder": {"id": body.encoder.card, "weights_sha256": body.encoder.weights_sha256},
        "embedded": body.vector is not None,
        "organs": {organ.name: _entry(organ) for organ in body.organs},
        "counts": {state: len(body.of_state(state)) for state in (PRESENT, CUT, MISSING)},
        "not_known": list(body.not_known),
        "meaning": NOTHING if body.vector is None else MEANING,
        "seconds": round(body.seconds, 3),
    }  # fmt: skip


def _entry(organ: BodyOrgan) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": organ.title, "state": organ.state}
    if organ.share is not None:
        entry |= {"share": round(organ.share, 4), "units": list(organ.units)}
    return entry | ({"reason": organ.reason} if organ.reason else {})
