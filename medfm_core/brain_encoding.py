"""Tokens, routing and one vector of a brain MRI by the encoder of a card: the published one, or one trained here.

The card's `input.size` is the box that a brain is brought to; the encoder looks at the middle of it, its own
`image_size`. Whether it routes its tokens to experts, and which vector stands for a scan, is the network's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.brain_box import to_brain_box
from medfm_core.brain_meant import BRAIN_TASK
from medfm_core.brain_networks import NETWORKS, BrainNetwork, load_network
from medfm_core.card_inputs import WHOLE_SCAN
from medfm_core.card_library import list_cards, load_card
from medfm_core.cards import ModelCard, not_fetched
from medfm_core.embedding import Encoder, OrganEmbedding, StudyEmbedding
from medfm_core.errors import InputError, WeightsError
from medfm_core.hub.present import is_fetched, require_files
from medfm_core.volume import Volume

if TYPE_CHECKING:
    import torch

    from medfm_core.layers.mixture_of_experts import Routing
    from medfm_core.models.encoded import Pooling

TASK = BRAIN_TASK


@dataclass(frozen=True, eq=False)
class BlockRouting:
    """Which experts the patches of a scan chose in one block.

    Attributes:
        block: number of the block, from 0.
        chosen: experts of each patch, the one with the highest weight first, `(N, k)` int64.
        experts: how many there are, E.
    """

    block: int
    chosen: np.ndarray
    experts: int

    @property
    def first(self) -> np.ndarray:
        """The expert that counts most for each patch, `(N,)` int64."""
        return self.chosen[:, 0]


@dataclass(frozen=True, eq=False)
class EncodedBrain:
    """What an encoder makes of one scan.

    Attributes:
        tokens: one per patch, `(N, E)` float32; along the last axis of `grid` fastest.
        box: what the encoder saw, with its place in the patient; array axes (D, H, W).
        grid: patches along D, H, W.
        routing: one per block with experts; none for an encoder without them.
        pooling: how its tokens become one vector.
        is_centred: whether 0 in the box is what lies outside the brain, in which values are above and below it.
    """

    tokens: np.ndarray
    box: Volume
    grid: tuple[int, int, int]
    routing: tuple[BlockRouting, ...] = ()
    pooling: Pooling = "mean"
    is_centred: bool = False

    @property
    def vector(self) -> np.ndarray:
        """The mean over the tokens or the first of them, `(E,)` float32."""
        return self.tokens[0] if self.pooling == "first" else self.tokens.mean(axis=0)

    @property
    def direction(self) -> np.ndarray:
        """The vector at length 1, `(E,)` float32."""
        vector = self.vector.astype(np.float64)
        return (vector / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class BrainEncoder:
    """A loaded encoder with its card.

    Attributes:
        card: what it is.
        net: in evaluation mode.
    """

    card: ModelCard
    net: BrainNetwork

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.net.parameters()).device

    @property
    def identity(self) -> Encoder:
        """Which weights make its embeddings."""
        return Encoder(self.card.id, self.card.sha256_of("weights"), self.net.config.width)


def choose_brain_card(name: str | None = None) -> ModelCard:
    """The card of a name, or the brain encoder that is installed.

    Args:
        name: id or path of a card; None for the default one, a shipped one, or the only one that was made here or
            fetched.

    Raises:
        InputError: there is no such card, or it is of another task.
        WeightsError: nothing is installed, or several are and none is the default.
    """
    if name is not None:
        card = load_card(name)
        if card.task != TASK:
            raise InputError(f"the model {card.id} is for {card.task}, not for brain MRI", "see `medfm models list`")
        return card
    known = [card for card in list_cards() if card.task == TASK]
    ways = (
        lambda c: c.default,
        lambda c: c.source.kind == "shipped",
        lambda c: c.source.kind == "file" or is_fetched(c),  # made here, or fetched
    )
    found = next((some for way in ways if (some := [card for card in known if way(card)])), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise WeightsError(f"several models are for brain MRI: {', '.join(c.id for c in found)}", "name one by --model")
    train = "train one (docs/neuro_jepa.md) and name its card as the model"
    if known:
        missing = not_fetched(known[0])
        raise WeightsError(f"no model for brain MRI is installed: {missing.what}", f"{missing.fix}, or {train}")
    raise WeightsError("no model for brain MRI is installed", train)


def load_brain_encoder(card: ModelCard, device: str = "auto") -> BrainNetwork:
    """Load a brain encoder strictly, in fp32 and evaluation mode.

    Args:
        card: a card of the task "brain_embedding".
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        WeightsError: it was not fetched, is damaged, is of another size than the card says, or the card is of another
            kind.
        ResourceError: the device is not there.
    """
    from medfm_core.inference.devices import choose_device

    if card.task != TASK or card.architecture.name not in NETWORKS:
        raise WeightsError(f"{card.id} is for {card.task} and no encoder of brains", "choose another model")
    require_files(card)
    return load_network(card, choose_device(device))


def load_brain(card: ModelCard, device: str = "auto") -> BrainEncoder:
    """Load a brain encoder with its card; see `load_brain_encoder`."""
    return BrainEncoder(card, load_brain_encoder(card, device))


def embed_brain(scan: Volume, encoder: BrainEncoder) -> tuple[StudyEmbedding, EncodedBrain]:
    """Embed one scan by itself.

    Args:
        scan: registered to MNI, 0 around the brain.
        encoder: loaded.

    Returns:
        The embedding, whose one unit is the whole scan, and what it was made of.

    Raises:
        InputError, WeightsError: as `encode_brain`.
    """
    encoded = encode_brain(scan, encoder.card, encoder.net)
    unit = OrganEmbedding(WHOLE_SCAN, 0, "present", encoded.direction)
    return StudyEmbedding(encoder.identity, (unit,)), encoded


def encode_brain(scan: Volume, card: ModelCard, encoder: BrainNetwork) -> EncodedBrain:
    """Encode a brain MRI.

    Args:
        scan: registered to MNI, 0 around the brain.
        card: the encoder's.
        encoder: loaded.

    Raises:
        InputError: nothing in the scan is above 0, or the card says too little of its input.
        WeightsError: the encoder gives values that are no numbers.
    """
    import torch

    size = encoder.config.image_size
    box = to_brain_box(scan, card.input, crop_size=size)
    if box.shape != tuple(size):
        raise InputError(f"the scan becomes {box.shape} voxels, the encoder takes {tuple(size)}", "correct the card")
    volume = torch.from_numpy(np.ascontiguousarray(box.voxels, np.float32))[None, None]
    place = next(encoder.parameters()).device
    with torch.inference_mode():
        made = encoder.routed(volume.to(place))
    tokens = made.tokens[0].float().cpu().numpy()
    if not np.isfinite(tokens).all():
        raise WeightsError(f"the encoder of {card.id} gives values that are no numbers", "look for NaN in the scan")
    routing = tuple(_routing(number, how) for number, how in enumerate(made.routing) if how is not None)
    is_centred = card.input.intensity.kind == "zscore"
    return EncodedBrain(tokens, box, encoder.config.token_grid(size), routing, encoder.pooling, is_centred)


def _routing(block: int, how: Routing) -> BlockRouting:
    order = how.weights.argsort(dim=1, descending=True, stable=True)  # the balance may have put another one first
    return BlockRouting(block, how.chosen.gather(1, order).cpu().numpy(), how.scores.shape[1])
