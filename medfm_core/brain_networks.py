"""The networks that encode brains, by the name of their architecture. No torch here.

A network is registered by where a function lies that takes a card, whose files are there, and a device; it is imported
when it is loaded, and no sooner.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from medfm_core.cards import ModelCard
    from medfm_core.models.encoded import Encoded, Pooling

# Architecture to "module:function".
NETWORKS: dict[str, str] = {
    "brainiac": "medfm_core.models.brainiac_weights:load_of_card",
    "neuro_jepa": "medfm_core.models.neuro_jepa_weights:load_of_card",
}


class BrainSizes(Protocol):
    """What is asked of a network's architecture."""

    @property
    def image_size(self) -> tuple[int, int, int]:
        """Voxels along D, H, W."""

    @property
    def patch_size(self) -> tuple[int, int, int]:
        """Voxels of a patch along D, H, W."""

    @property
    def width(self) -> int:
        """Channels of a token."""

    def token_grid(self, sides: Sequence[int]) -> tuple[int, int, int]:
        """Tokens along D, H, W of a volume of these sides."""


class BrainNetwork(Protocol):
    """A network that encodes brains, in evaluation mode.

    Attributes:
        config: its sizes.
        pooling: how its tokens become the vector of a scan.
    """

    config: BrainSizes
    pooling: Pooling

    def __call__(self, volume: Tensor) -> Tensor:
        """Tokens `(B, N, width)` of `(B, 1, D, H, W)`."""

    def routed(self, volume: Tensor) -> Encoded:
        """The same with the routing of each block; no routing where it has no experts."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `torch.nn.Module`."""


def load_network(card: ModelCard, device: torch.device) -> BrainNetwork:
    """Load the network of a card whose architecture is in `NETWORKS`.

    Raises:
        WeightsError: it is damaged or of another size than the card says.
    """
    module, function = NETWORKS[card.architecture.name].split(":")
    return getattr(importlib.import_module(module), function)(card, device)
