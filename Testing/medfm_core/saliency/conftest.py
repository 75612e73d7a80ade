"""A toy with truth: an encoder trained in seconds to tell volumes with a bright blob from noise."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig
from medfm_core.saliency import Target, prompt_contrast

SIDES = (8, 16, 16)
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


def blobs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Volumes of weak to strong noise around some level, every second one with a blob, so that only a blob tells.

    Returns:
        `(B, 1, D, H, W)`; whether there is a blob, `(B,)`; where it is or would be, `(B, D, H, W)` bool.
    """
    sizes, margins, widths = torch.tensor([*SIDES]), torch.tensor([1.5, 3.0, 3.0]), (1.2, 2.2, 2.2)
    centres = torch.rand(count, 3, generator=generator) * (sizes - 1 - 2 * margins) + margins
    away = [
        ((torch.arange(n) - centres[:, a, None]) / w) ** 2 for a, (n, w) in enumerate(zip(SIDES, widths, strict=True))
    ]
    distance = away[0][:, :, None, None] + away[1][:, None, :, None] + away[2][:, None, None, :]
    there = torch.arange(count) % 2
    strength, level = torch.rand(2, count, 1, 1, 1, generator=generator)
    volumes = 0.3 * strength * torch.randn(count, *SIDES, generator=generator) + 0.4 * (level - 0.5)
    volumes += 1.5 * there[:, None, None, None] * torch.exp(-distance / 2)
    return volumes[:, None], there.float(), distance < 2.5


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
