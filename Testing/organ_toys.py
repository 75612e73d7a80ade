"""Small whole bodies for tests: three organs of three kinds, and batches of them."""

from __future__ import annotations

import torch

from medfm_core.models.pan_fm import PanFMConfig
from medfm_core.models.pan_fm_organs import OrganSpec, known_key, value_key

ORGANS = (
    OrganSpec("brain", "volume", image_size=(4, 4, 8), patch_size=(4, 4, 4)),
    OrganSpec("heart", "table", fields=("mass", "volume", "strain")),
    OrganSpec("liver", "vectors", count=4, values=5),
)
MODEL = PanFMConfig(ORGANS, width=24, depth=2, heads=2, mlp_width=32)


def bodies(count, seed=0, missing=None, config=MODEL):
    """A batch; `missing` `(count, organs)` bool takes organs away."""
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for number, organ in enumerate(config.organs):
        batch[value_key(organ.name)] = torch.randn(count, *organ.shape, generator=generator)
        known = torch.ones(count, organ.tokens, dtype=torch.bool)
        if missing is not None:
            known &= ~missing[:, number, None]
        batch[known_key(organ.name)] = known
    return batch
