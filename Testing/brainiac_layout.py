"""Names and shapes of BrainIAC's published checkpoint, what was used in training alone included."""

from __future__ import annotations

import math

from medfm_core.models.brainiac import BrainIACConfig


def published_shapes(config: BrainIACConfig, projected: int = 128) -> dict[str, tuple[int, ...]]:
    """Names and shapes under `state_dict`, written down from MONAI's layers; the projection's names are made up.

    Args:
        config: the architecture.
        projected: width of what the contrast was computed on.
    """
    width, hidden = config.width, config.mlp_width
    count = math.prod(config.token_grid(config.image_size))
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.position_embeddings": (1, count, width),
        "patch_embedding.patch_embeddings.weight": (width, 1, *config.patch_size),
        "patch_embedding.patch_embeddings.bias": (width,),
    }
    for block in range(config.depth):
        at = f"blocks.{block}"
        shapes |= _linear(f"{at}.mlp.linear1", width, hidden) | _linear(f"{at}.mlp.linear2", hidden, width)
        shapes |= _norm(f"{at}.norm1", width)
        shapes |= _linear(f"{at}.attn.out_proj", width, width) | {f"{at}.attn.qkv.weight": (3 * width, width)}
        shapes |= _norm(f"{at}.norm2", width)
    shapes |= _norm("norm", width)
    found = {f"backbone.{name}": shape for name, shape in shapes.items()}
    return found | _linear("projection_head.0", width, width) | _linear("projection_head.2", width, projected)


def _linear(name: str, inside: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}
