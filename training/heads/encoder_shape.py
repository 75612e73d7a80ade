"""What a head must know of an encoder: how wide its tokens are, and where in the image they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig
from medfm_core.models.vit import VolumeTransformer, VolumeTransformerConfig
from training.heads.spad_encoder import spad_encoder


def encoder_of(model: Any) -> nn.Module:
    """The encoder itself, built from a configuration where one is given.

    That is a volume transformer's, a SPAD transformer's, a Neuro-JEPA's, or one with `build`.

    Raises:
        InputError: it is neither.
    """
    if isinstance(model, SpadVit):
        return spad_encoder(model)
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, VolumeTransformerConfig):
        return VolumeTransformer(model)
    if isinstance(model, NeuroJepaConfig):
        return NeuroJepaEncoder(model)
    if isinstance(model, SpadVitConfig) and not hasattr(model, "build"):
        return spad_encoder(model)
    if callable(getattr(model, "build", None)):
        return model.build()
    raise InputError(f"no encoder can be built from {type(model).__name__}", "choose a model with tokens")


def encoder_width(encoder: nn.Module) -> int:
    """Channels of an encoder's features: its `width`, or that of its configuration.

    Raises:
        InputError: it does not say.
    """
    for owner in (encoder, getattr(encoder, "config", None)):
        width = getattr(owner, "width", None)
        if isinstance(width, int):
            return width
    raise InputError(f"the encoder {type(encoder).__name__} does not say its width", "give it an attribute width")


def dense_tokens(encoder: nn.Module, tokens: Tensor, sides: Sequence[int]) -> tuple[Tensor, tuple[int, int, int]]:
    """Tokens in the order of a `(D, H, W)` array, W fastest, and their grid.

    Args:
        encoder: one with `config.token_grid(sides)`, the axes running as `H, W, D` (a volume transformer); tokens of
            others are taken to be in order.
        tokens: `(B, N, F)`.
        sides: voxels along D, H, W.

    Returns:
        `(B, N, F)` and tokens along D, H, W.
    """
    if not isinstance(encoder, VolumeTransformer):
        patch = patch_size_of(encoder)
        return tokens, tuple(side // step for side, step in zip(sides, patch, strict=True))
    rows, columns, depth = encoder.config.token_grid(sides)
    ordered = tokens.unflatten(1, (rows, columns, depth)).permute(0, 3, 1, 2, 4)
    return ordered.flatten(1, 3), (depth, rows, columns)


def patch_size_of(encoder: nn.Module) -> tuple[int, int, int]:
    """Voxels of a token along D, H, W: its `patch_size`, or that of its configuration.

    Raises:
        InputError: it does not say.
    """
    for owner in (encoder, getattr(encoder, "config", None)):
        size = getattr(owner, "patch_size", None)
        if size is not None:
            return tuple(size)
    raise InputError(f"the encoder {type(encoder).__name__} does not say its patch size", "it cannot segment")
