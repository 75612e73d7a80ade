"""How many organ volumes an encoder takes at once, so that it stays within the memory there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from medfm_core.errors import ResourceError
from medfm_core.machine import memory, peak_memory
from medfm_core.settings import read_settings

if TYPE_CHECKING:
    import torch

    from medfm_core.models.vit import VolumeTransformerConfig

_FLOAT = 4
_COPIES_OF_INPUT = 4  # the volume, its patches before and after the norm, and the copy of the stack
_COPIES_OF_TOKENS = 8  # what a block holds at once besides the perceptron: residual, norm, q, k, v, attended, sums
_SHARE = 0.5  # of what is free; the scan's copies and the system need the rest
_MOST = 16  # more at once gains nothing on any device that was measured
_MOST_BYTES = 1.0e9


def bytes_per_volume(config: VolumeTransformerConfig, size: tuple[int, int, int]) -> float:
    """About how many bytes one organ volume takes within the encoder.

    Args:
        config: the architecture.
        size: voxels along D, H, W.
    """
    tokens = math.prod(config.token_grid(size))
    voxels = config.channels * math.prod(size)
    inside = tokens * (_COPIES_OF_TOKENS * config.width + 2 * config.mlp_width)
    return float(_FLOAT * (_COPIES_OF_INPUT * voxels + inside))


def plan_batch(config: VolumeTransformerConfig, size: tuple[int, int, int], device: torch.device) -> int:
    """Choose how many organ volumes go through the encoder at once.

    Args:
        config: the architecture.
        size: voxels along D, H, W.
        device: where the encoder runs.

    Returns:
        From 1 to 16.

    Raises:
        ResourceError: not even one fits.
    """
    free, each = free_bytes(device), bytes_per_volume(config, size)
    if each > free:
        raise ResourceError(
            f"encoding an organ needs about {each / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free",
            "close other programs, choose a smaller findings model, or leave findings out with --no-findings",
        )
    return int(max(1, min(_MOST, min(free * _SHARE, _MOST_BYTES) // each)))


def free_bytes(device: torch.device) -> float:
    """Bytes that may still be taken on a device."""
    if device.type == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    free, allowed = float(memory().free), read_settings().memory_gb
    # The peak so far is an upper bound of what this process holds, so the plan errs to the small side.
    return free if allowed is None else min(free, max(0.0, allowed * 1e9 - (peak_memory() or 0)))
