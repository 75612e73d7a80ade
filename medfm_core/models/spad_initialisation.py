"""SPAD-ViT started from EVA-02, a vision transformer for natural images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.layers.kernel_adaptation import adapt_input_channels, inflate_kernel, resize_kernel
from medfm_core.layers.resampled_positions import resample_grid
from medfm_core.models.spad_names import shapes_of, vit_names
from medfm_core.models.spad_vit import SpadVit, SpadVitConfig

# What timm and its copies on the Hugging Face Hub call parts of a block, to what EVA-02's own files call them.
_TIMM = {
    "mlp.fc1_g.": "mlp.w1.",
    "mlp.fc1_x.": "mlp.w2.",
    "mlp.norm.": "mlp.ffn_ln.",
    "mlp.fc2.": "mlp.w3.",
    "attn.q_proj.bias": "attn.q_bias",
    "attn.v_proj.bias": "attn.v_bias",
}
# What is no part of our network: tables of the two-dimensional rotation, and heads of other tasks.
_LEFT_OUT = re.compile(r"(rope\.|head\.|lm_head\.|mask_token$|blocks\.\d+\.attn\.rope\.)")
_FIX = "use a file of EVA-02 of the same size, such as eva02_base_patch14_224.mim_in22k"


def eva02_state(checkpoint: Mapping[str, Any], config: SpadVitConfig) -> dict[str, Tensor]:
    """Make the state of a `SpadVit` from EVA-02's.

    Patches are resized to our side with their area kept in mind, and spread over the depth so that thick slices and 2D
    images see the two-dimensional filter. Positions are repeated along the depth and resampled. The position of the
    class token goes into the class token.

    Args:
        checkpoint: tensors by EVA-02's own names (under `module`, `model` or bare) or by timm's.
        config: our architecture.

    Returns:
        Tensors by our names, float32, all that a `SpadVit` has.

    Raises:
        WeightsError: it is of another network or size.

    Source: SPAD spec, section 6.2, without the code bugs 2 and 3 of section 11.
    """
    theirs = _plain(checkpoint)
    names, shapes = vit_names(config), shapes_of(SpadVit, config)
    missing = [name for name in names.values() if name not in theirs]
    unknown = [name for name in theirs if name not in set(names.values())]
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"holds {unknown[0]!r}"
        raise WeightsError(f"the checkpoint is not one of EVA-02 of this size: it {what}", _FIX)
    theirs["cls_token"], theirs["pos_embed"] = _positions(theirs, config)
    theirs["patch_embed.proj.weight"] = _patches(theirs["patch_embed.proj.weight"], config)
    state = {ours: theirs[name] for ours, name in names.items()}
    for name, value in state.items():
        if tuple(value.shape) != shapes[name]:
            found, wanted = list(value.shape), list(shapes[name])
            raise WeightsError(f"{names[name]} of the EVA-02 checkpoint is {found} instead of {wanted}", _FIX)
    return state


def eva02_mask_token(checkpoint: Mapping[str, Any]) -> Tensor | None:
    """The mask token of a pre-training checkpoint of EVA-02, `(1, 1, width)` float32; None where it has none."""
    found = _unwrapped(checkpoint).get("mask_token")
    return None if found is None else found.float().reshape(1, 1, -1)


def _plain(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Its tensors by EVA-02's own names, float32, without what we have no use for."""
    found = {}
    for raw, value in _unwrapped(checkpoint).items():
        name = raw
        if name.startswith("fc_norm."):  # timm's name where tokens are averaged
            name = name.removeprefix("fc_")
        for timm, own in _TIMM.items():
            name = name.replace(timm, own)
        if not _LEFT_OUT.match(name) and torch.is_tensor(value):
            found[name] = value.float()
    return found


def _unwrapped(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((checkpoint[key] for key in ("module", "model", "state_dict") if key in checkpoint), checkpoint)


def _patches(weight: Tensor, config: SpadVitConfig) -> Tensor:
    if weight.ndim != 4:
        raise WeightsError(f"patch_embed.proj.weight of the EVA-02 checkpoint is {list(weight.shape)}", _FIX)
    return inflate_kernel(adapt_input_channels(resize_kernel(weight, config.patch), config.channels), config.patch)


def _positions(theirs: Mapping[str, Tensor], config: SpadVitConfig) -> tuple[Tensor, Tensor]:
    """Our class token and table of positions from their class token `(1, 1, W)` and positions `(1, 1 + n * n, W)`."""
    table, token = theirs["pos_embed"], theirs["cls_token"]
    side = round((table.shape[1] - 1) ** 0.5) if table.ndim == 3 else 0
    if side < 1 or side * side + 1 != table.shape[1] or token.shape != (1, 1, table.shape[2]):
        raise WeightsError(f"pos_embed of the EVA-02 checkpoint is {list(table.shape)}, no square and one", _FIX)
    plane = table[:, 1:].transpose(1, 2).reshape(1, -1, 1, side, side)
    _, rows, columns = config.position_grid
    resampled = resample_grid(plane, (1, rows, columns)).expand(-1, -1, config.position_grid[0], -1, -1)
    return token + table[:, :1], resampled.clone()
