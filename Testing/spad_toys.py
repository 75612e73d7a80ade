"""A small data source of anisotropic volumes, registered as the part `slabs`, to try the SPAD objectives with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.engine.registry import PARTS, Part


@dataclass(frozen=True)
class SlabsConfig:
    """How much there is.

    Attributes:
        count: number of items.
    """

    count: int = 4


class Slabs:
    """Grey volumes `(1, 4, 16, 16)` whose slices lie twice as far apart as their pixels."""

    def __init__(self, config: SlabsConfig) -> None:
        self.config = config

    def __len__(self):
        return self.config.count

    def sample(self, item, key):
        image = torch.rand(1, 4, 16, 16, generator=key.generator("slab"))
        return {"image": image, "spacing_mm": torch.tensor([3.0, 1.5, 1.5])}


PARTS["data"]["slabs"] = Part("spad_toys:SlabsConfig", "spad_toys:Slabs")
