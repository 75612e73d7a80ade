"""Volumes of noise, some with a bright blob whose place is known: what encoders learn in seconds to tell apart."""

from __future__ import annotations

import torch
from torch import Tensor

SIDES = (8, 16, 16)


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
