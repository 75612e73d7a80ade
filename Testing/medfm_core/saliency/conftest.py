"""A toy with truth: an encoder trained in seconds to tell volumes with a bright blob from noise."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from blob_volumes import SIDES, blobs
from torch import Tensor
from torch.nn import functional

from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig
from medfm_core.saliency import Target, prompt_contrast

CONFIG = TotalFMConfig(
    image_size=SIDES,
    patch_size=(2, 4, 4),
    channels=1,
    width=24,
    depth=2,
    heads=2,
    mlp_width=48,
    head_width=16,
    embedding_width=16,
    dropout=0.1,
)


@dataclass
class Toy:
    """A trained encoder, its target, and volumes that all hold a blob, with the blobs' masks."""

    encoder: ImageEncoder
    target: Target
    volumes: Tensor
    masks: Tensor


@pytest.fixture(scope="session")
def toy() -> Toy:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        generator = torch.Generator().manual_seed(2)
        encoder = ImageEncoder(CONFIG)
        prompts = functional.normalize(torch.randn(6, 16, generator=generator), dim=-1)
        target = prompt_contrast(prompts[:3], prompts[3:])
        optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
        encoder.eval()
        for _ in range(150):
            volumes, there, _ = blobs(16, generator)
            loss = functional.binary_cross_entropy_with_logits(8 * target(encoder(volumes)), there)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    volumes, there, masks = blobs(40, generator)
    scores = target(encoder(volumes)).detach()
    won = scores[there == 1][:, None] > scores[there == 0]
    assert won.float().mean() > 0.95, "the toy has not learnt its task"
    return Toy(encoder, target, volumes[there == 1], masks[there == 1])
