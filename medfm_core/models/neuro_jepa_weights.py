"""Neuro-JEPA's weights, under our names or those of the gated release, which each user fetches with their own access.

What the shapes of the release's tensors say of the architecture counts; its `config.json` adds what shapes cannot say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.neuro_jepa_names import USE_RELEASE, encoder_shapes, encoder_state, plain_name
from medfm_core.strict import from_dict
from medfm_core.weights import check_safetensors, load_weights

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_CONTAINERS = ("encoder", "target_encoder", "state_dict", "model")
_RELEASED = MixtureConfig()
_RELEASED_IMAGE = (96, 108, 96)


def load_of_card(card: ModelCard, device: torch.device | str = "cpu") -> NeuroJepaEncoder:
    """Build the encoder of a card: the release, or one that was trained here.

    Args:
        card: whose files are there.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another size than the card says.
    """
    wanted = from_dict(NeuroJepaConfig, dict(card.architecture.options), f"{card.id}: architecture", WeightsError)
    if card.source.kind != "hub":
        return load_encoder(card.weights_path, wanted, device)
    encoder = load_release(card.root(), device)
    if encoder.config != wanted:
        raise WeightsError(f"the files of {card.id} are of another size than its card says", "fetch them again")
    return encoder


def load_release(folder: str | Path, device: torch.device | str = "cpu") -> NeuroJepaEncoder:
    """Build the encoder of a folder with the release's two files, with its positions as published.

    Args:
        folder: holds `config.json` and `model.safetensors`.
        device: where the net goes.

    Returns:
        The encoder in float32 and evaluation mode, without gradients.

    Raises:
        WeightsError: a file is missing, damaged, or not of a Neuro-JEPA encoder.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder / CONFIG_FILE} cannot be read", USE_RELEASE) from error
    shapes = {name: info.shape for name, info in check_safetensors(folder / WEIGHTS_FILE).tensors.items()}
    return load_encoder(folder / WEIGHTS_FILE, read_architecture(shapes, about), device)


def load_encoder(path: str | Path, config: NeuroJepaConfig, device: torch.device | str = "cpu") -> NeuroJepaEncoder:
    """Build the encoder and load its weights strictly, in float32 and evaluation mode.

    Args:
        path: a safetensors file of the encoder and nothing else, with our names or the release's, prefixes included.
        config: the architecture.
        device: where the net goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    ours = encoder_shapes(config)
    if set(check_safetensors(path).tensors) & {"patch_embedding.linear.weight"}:
        state = {name: value.float() for name, value in load_weights(path, ours, str(device)).items()}
    else:
        state = encoder_state(_by_plain_name(load_weights(path, None, str(device))), config)
    with torch.device("meta"):
        encoder = NeuroJepaEncoder(config)
    encoder.load_state_dict(state, strict=True, assign=True)
    return encoder.eval().requires_grad_(False)


def encoder_side(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the encoder out of a training checkpoint of the reference; saved as safetensors, `load_encoder` reads it.

    Args:
        checkpoint: as read: tensors by name, or under `encoder`, `target_encoder`, `state_dict` or `model`, the first
            of which counts.

    Returns:
        Tensors by the release's names, without prefixes.

    Raises:
        WeightsError: it holds no encoder.
    """
    held = next((checkpoint[key] for key in _CONTAINERS if isinstance(checkpoint.get(key), Mapping)), checkpoint)
    tensors = _by_plain_name({name: value for name, value in held.items() if isinstance(value, Tensor)})
    if "patch_embed.proj.weight" not in tensors:
        raise WeightsError("the checkpoint is not one of Neuro-JEPA: it holds no patch_embed.proj.weight", USE_RELEASE)
    return tensors


def read_architecture(shapes: Mapping[str, tuple[int, ...]], about: Mapping[str, Any]) -> NeuroJepaConfig:
    """The architecture of published weights, with positions as published.

    Args:
        shapes: of the tensors by name, prefixes included.
        about: content of the release's `config.json`; of its section `model` (or of itself) `img_size` and, in `moe`,
            `n_activated_experts`, `route_scale` and `score_func` are read, the released values stand for what is
            missing, and whatever contradicts the shapes is an error.

    Raises:
        WeightsError: the shapes are not those of a Neuro-JEPA encoder, or the two differ.

    Source: Neuro-JEPA spec, sections 3.3 and 12.1.
    """
    plain = {plain_name(name): tuple(shape) for name, shape in shapes.items()}
    model = about.get("model", about) if isinstance(about, Mapping) else {}
    if not isinstance(model, Mapping):
        model = {}
    try:
        return _architecture(plain, model)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"the weights are not of a Neuro-JEPA encoder: {what}", USE_RELEASE) from error


def _architecture(shapes: Mapping[str, tuple[int, ...]], model: Mapping[str, Any]) -> NeuroJepaConfig:
    width, channels, *patch = shapes["patch_embed.proj.weight"]
    depth = 1 + max(int(found[1]) for name in shapes if (found := re.match(r"blocks\.(\d+)\.", name)))
    sparse = tuple(block for block in range(depth) if f"blocks.{block}.mlp.gate.bias" in shapes)
    dense = next((f"blocks.{block}.mlp.fc1.weight" for block in range(depth) if block not in sparse), None)
    image = tuple(model.get("img_size") or _RELEASED_IMAGE)
    config = NeuroJepaConfig(
        image_size=image,
        patch_size=tuple(patch),
        channels=channels,
        width=width,
        depth=depth,
        heads=shapes["blocks.0.attn.proj_attn_gate.bias"][0],
        mlp_width=shapes[dense][0] if dense else 4 * width,
        expert_blocks=sparse,
        mixture=_mixture(shapes, sparse, model) if sparse else _RELEASED,
        positions="published",
    )
    said = {"embed_dim": width, "depth": depth, "num_heads": config.heads}
    for key, value in said.items():
        if model.get(key, value) != value:
            raise ValueError(f"config.json says {key} {model[key]}, the tensors {value}")
    return config


def _mixture(shapes: Mapping[str, tuple[int, ...]], sparse: tuple[int, ...], model: Mapping[str, Any]) -> MixtureConfig:
    block, moe = f"blocks.{sparse[0]}.mlp", model.get("moe") or {}
    if moe.get("score_func", "softmax") != "softmax":
        raise ValueError(f"its router scores by {moe['score_func']}, and only softmax is known")
    experts = shapes[f"{block}.gate.bias"][0]
    if moe.get("n_routed_experts", experts) != experts:
        raise ValueError(f"config.json says {moe['n_routed_experts']} experts, the tensors {experts}")
    return MixtureConfig(
        experts=experts,
        active=int(moe.get("n_activated_experts", _RELEASED.active)),
        expert_width=shapes[f"{block}.experts.0.fc1.weight"][0],
        shared_width=shapes[f"{block}.shared_experts.fc1.weight"][0],
        route_scale=float(moe.get("route_scale", _RELEASED.route_scale)),
    )


def _by_plain_name(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if plain_name(name) in plain:
            raise WeightsError(f"the weights hold {plain_name(name)!r} twice, under other prefixes", USE_RELEASE)
        plain[plain_name(name)] = value
    return plain
