"""Weights of TotalFM's image side, under our names of the parameters or under those of the release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig
from medfm_core.weights import check_safetensors, load_weights

_MODULES = {
    "backbone.patch_embedding.norm_in": "vit.to_patch_embedding.1",
    "backbone.patch_embedding.linear": "vit.to_patch_embedding.2",
    "backbone.patch_embedding.norm_out": "vit.to_patch_embedding.3",
    "pool.query_norm": "vit.pool.norm1_q",
    "pool.key_norm": "vit.pool.norm1_k",
    "pool.value_norm": "vit.pool.norm1_v",
    "pool.query": "vit.pool.cross_attn.q",
    "pool.key": "vit.pool.cross_attn.k",
    "pool.value": "vit.pool.cross_attn.v",
    "pool.projection": "vit.pool.cross_attn.proj",
    "head_norm": "vit.proj.0",
    "head": "vit.proj.1",
    "projection": "image_proj",
}
_BLOCK_MODULES = {
    "attention_norm": "0.norm",
    "attention.qkv": "0.fn.to_qkv",
    "attention.projection": "0.fn.to_out.0",
    "mlp_norm": "1.norm",
    "mlp.widen": "1.fn.net.0",
    "mlp.narrow": "1.fn.net.3",
}
_PARAMETERS = {
    "backbone.positions.tables.0": "vit.pos_embedding.row_embed.weight",
    "backbone.positions.tables.1": "vit.pos_embedding.col_embed.weight",
    "backbone.positions.tables.2": "vit.pos_embedding.dep_embed.weight",
    "pool.query.bias": "vit.pool.cross_attn.q_bias",
    "pool.key.bias": "vit.pool.cross_attn.k_bias",
    "pool.value.bias": "vit.pool.cross_attn.v_bias",
}
_IMAGE_SIDE = ("vit.", "image_proj.")
# What else the release's checkpoint holds: the language model, its projection, and the two numbers of the loss.
_TEXT_SIDE = ("text_", "logit_scale", "logit_bias")


def published_names(config: TotalFMConfig) -> dict[str, str]:
    """Pair each of our parameters with the release's name of it.

    Args:
        config: the architecture, on whose depth the names depend.

    Returns:
        Ours to theirs, one to one.

    Source: names in the TotalFM release's checkpoint.
    """
    modules = dict(_MODULES)
    for block in range(config.depth):
        for ours, theirs in _BLOCK_MODULES.items():
            modules[f"backbone.blocks.{block}.{ours}"] = f"vit.transformer.layers.{block}.{theirs}"
    return {name: _PARAMETERS.get(name) or _published_name(name, modules) for name in _shapes(config)}


def image_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the image side out of the release's checkpoint; saved as safetensors, `load_image_encoder` reads it.

    Args:
        checkpoint: the checkpoint as read (tensors under `model_state_dict` or `model`), or its tensors by name.

    Returns:
        Tensors by name, those beginning with `vit.` and `image_proj.`.

    Raises:
        WeightsError: it has no image side, or holds something that is known of neither side.
    """
    tensors = next((checkpoint[key] for key in ("model_state_dict", "model") if key in checkpoint), checkpoint)
    plain = {name.removeprefix("module."): value for name, value in tensors.items()}
    image = {name: value for name, value in plain.items() if name.startswith(_IMAGE_SIDE)}
    unknown = [name for name in plain if not name.startswith(_IMAGE_SIDE + _TEXT_SIDE)]
    if unknown or not image:
        what = f"it holds {unknown[0]!r}" if unknown else "it holds no image encoder"
        raise WeightsError(f"the checkpoint is not one of TotalFM: {what}", "use the file of the TotalFM release")
    return image


def load_image_encoder(path: str | Path, config: TotalFMConfig, device: torch.device | str = "cpu") -> ImageEncoder:
    """Build the image encoder and load its weights strictly, in fp32 and evaluation mode.

    Args:
        path: a safetensors file of the image side and nothing else, with our names or with the release's.
        config: the architecture.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    shapes = _shapes(config)
    published = any(name.startswith(_IMAGE_SIDE) for name in check_safetensors(path).tensors)
    names = published_names(config) if published else {name: name for name in shapes}
    state = load_weights(path, {names[name]: shape for name, shape in shapes.items()}, str(device))
    with torch.device("meta"):
        encoder = ImageEncoder(config)
    encoder.load_state_dict({ours: state[name].float() for ours, name in names.items()}, strict=True, assign=True)
    return encoder.eval().requires_grad_(False)


def _shapes(config: TotalFMConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ImageEncoder(config).state_dict().items()}


def _published_name(name: str, modules: Mapping[str, str]) -> str:
    module, leaf = name.rsplit(".", 1)
    return f"{modules[module]}.{leaf}"
