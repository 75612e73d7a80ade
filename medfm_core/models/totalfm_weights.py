"""TotalFM's weights, under our names of the parameters or under those of the release.

A model's image side and its text side lie in a file each. The release's checkpoint holds both, and a language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medfm_core.errors import WeightsError
from medfm_core.models.text_projection import Logits, TextProjection
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
_TEXT_NAMES = {
    "text_projection.linear.weight": "text_proj.weight",
    "text_projection.linear.bias": "text_proj.bias",
    "logits.scale": "logit_scale",
    "logits.bias": "logit_bias",
}
_NUMBERS = ("logits.scale", "logits.bias")
_USE_RELEASE = "use the file of the TotalFM release"


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


def published_shapes(config: TotalFMConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the image side's tensors under the release's names."""
    names = published_names(config)
    return {names[name]: shape for name, shape in _shapes(config).items()}


def image_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the image side out of the release's checkpoint; saved as safetensors, `load_image_encoder` reads it.

    Args:
        checkpoint: the checkpoint as read (tensors under `model_state_dict` or `model`), or its tensors by name.

    Returns:
        Tensors by name, those beginning with `vit.` and `image_proj.`.

    Raises:
        WeightsError: it has no image side, or holds something that is known of neither side.
    """
    plain = _plain(checkpoint)
    image = {name: value for name, value in plain.items() if name.startswith(_IMAGE_SIDE)}
    unknown = [name for name in plain if not name.startswith(_IMAGE_SIDE + _TEXT_SIDE)]
    if unknown or not image:
        what = f"it holds {unknown[0]!r}" if unknown else "it holds no image encoder"
        raise WeightsError(f"the checkpoint is not one of TotalFM: {what}", _USE_RELEASE)
    return image


def text_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the text projection and the two numbers of the loss out of the release's checkpoint.

    Saved as safetensors, `load_text_side` reads them.

    Args:
        checkpoint: as for `image_side`.

    Returns:
        `text_proj.weight` `(E, W)`, `text_proj.bias` `(E,)`, `logit_scale` and `logit_bias` without dimensions.

    Raises:
        WeightsError: one of them is missing, or is not what its name says.
    """
    plain = _plain(checkpoint)
    missing = [name for name in _TEXT_NAMES.values() if name not in plain]
    if missing:
        raise WeightsError(f"the checkpoint is not one of TotalFM: it holds no {missing[0]!r}", _USE_RELEASE)
    numbers = {name: plain[name] for name in ("logit_scale", "logit_bias")}
    for name, value in numbers.items():
        if value.numel() != 1:
            raise WeightsError(f"the checkpoint is not one of TotalFM: {name} is not one number", _USE_RELEASE)
    projection = {name: plain[name] for name in ("text_proj.weight", "text_proj.bias")}
    return projection | {name: value.reshape(()) for name, value in numbers.items()}


def language_model_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the language model out of the release's checkpoint, which may have been trained on.

    Saved as safetensors, `load_text_tower` uses it in place of the tower's own weights.

    Args:
        checkpoint: as for `image_side`.

    Returns:
        Tensors by the language model's own names; empty where the checkpoint holds none.

    Raises:
        WeightsError: it holds more than one thing of the text side that could be the language model.
    """
    plain = _plain(checkpoint)
    found = {name: value for name, value in plain.items() if name.startswith("text_") and name not in _published_text()}
    holders = sorted({name.split(".", 1)[0] for name in found})
    if len(holders) > 1:
        raise WeightsError(f"the checkpoint is not one of TotalFM: it holds both {holders[0]!r} and {holders[1]!r}")
    return {name.split(".", 1)[-1]: value for name, value in found.items()}


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


def load_text_side(
    path: str | Path, text_width: int, embedding_width: int, device: torch.device | str = "cpu"
) -> tuple[TextProjection, Logits]:
    """Build the text projection and the logits and load their weights strictly, in fp32 and evaluation mode.

    Args:
        path: a safetensors file of the text side and nothing else, with our names (`text_projection.linear.weight`,
            `text_projection.linear.bias`, `logits.scale`, `logits.bias`) or with the release's; the bias of the logits
            may be missing and is 0 then, and so may that of the projection under our names.
        text_width: values of a sentence vector, `W`.
        embedding_width: values of an embedding, `E`.
        device: where they go.

    Raises:
        WeightsError: weights missing, damaged or of another width.
    """
    found = check_safetensors(path).tensors
    published = any(name in _published_text() for name in found)
    names = _TEXT_NAMES if published else {name: name for name in _TEXT_NAMES}
    with torch.device("meta"):
        side = nn.ModuleDict({"text_projection": TextProjection(text_width, embedding_width), "logits": Logits()})
    own = {name: tuple(value.shape) for name, value in side.state_dict().items()}
    shapes = {names[name]: shape for name, shape in own.items()}
    for name in _NUMBERS:  # the release keeps each in a row of one
        if names[name] in found and found[names[name]].shape == (1,):
            shapes[names[name]] = (1,)
    # Models that were taught by another loss have no bias of the logits, and some projections have none.
    optional = ("logits.bias",) if published else ("logits.bias", "text_projection.linear.bias")
    missing = [names[name] for name in optional if names[name] not in found]
    zeros = {name: torch.zeros(shapes.pop(name), device=device) for name in missing}
    state = load_weights(path, shapes, str(device)) | zeros
    floats = {ours: state[name].float().reshape(own[ours]) for ours, name in names.items()}
    side.load_state_dict(floats, strict=True, assign=True)
    side.eval().requires_grad_(False)
    return side["text_projection"], side["logits"]


def _plain(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Its tensors by name, out of what the trainer wrapped them in."""
    tensors = next((checkpoint[key] for key in ("model_state_dict", "model") if key in checkpoint), checkpoint)
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _published_text() -> set[str]:
    return set(_TEXT_NAMES.values())


def _shapes(config: TotalFMConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ImageEncoder(config).state_dict().items()}


def _published_name(name: str, modules: Mapping[str, str]) -> str:
    module, leaf = name.rsplit(".", 1)
    return f"{modules[module]}.{leaf}"
