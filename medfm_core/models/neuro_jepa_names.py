"""Names and shapes of Neuro-JEPA's release, and how they become ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.models.neuro_jepa_predictor import NeuroJepaPredictor, PredictorConfig

PREFIXES = (
    "student.vision_encoder.",
    "student.encoder.",
    "vision_encoder.",
    "target_encoder.",
    "encoder.",
    "model.",
    "module.",
    "_orig_mod.",
    "backbone.",
)
"""What trainers and wrappers put before the encoder's names, in any number and order."""

USE_RELEASE = "use model.safetensors and config.json of the Neuro-JEPA release"
_WRAPPER = "_checkpoint_wrapped_module."
_BLOCK = {
    "attention_norm": "norm1",
    "attention.qkv": "attn.qkv",
    "attention.gate": "attn.proj_attn_gate",
    "attention.projection": "attn.proj",
    "mlp_norm": "norm2",
    "mlp.widen": "mlp.fc1",
    "mlp.narrow": "mlp.fc2",
    "mlp.router.score": "mlp.gate.gate",
    "mlp.shared.widen": "mlp.shared_experts.fc1",
    "mlp.shared.narrow": "mlp.shared_experts.fc2",
}
_EXPERT = {"widen": "fc1", "narrow": "fc2"}
_TOP = {"patch_embedding.linear": "patch_embed.proj", "norm": "norm"}
_PREDICTOR_TOP = {"narrow": "predictor_embed", "norm": "predictor_norm", "widen": "predictor_proj"}


def plain_name(name: str) -> str:
    """A name of a checkpoint without what trainers and wrappers added."""
    name = name.replace(_WRAPPER, "")
    while (prefix := next((p for p in PREFIXES if name.startswith(p)), None)) is not None:
        name = name.removeprefix(prefix)
    return name


def encoder_shapes(config: NeuroJepaConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the encoder's parameters and buffers under our names."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in NeuroJepaEncoder(config).state_dict().items()}


def predictor_shapes(config: PredictorConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the predictor's parameters under our names."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in NeuroJepaPredictor(config).state_dict().items()}


def encoder_names(config: NeuroJepaConfig) -> dict[str, tuple[str, ...]]:
    """The release's names of each of our tensors: one, or one per expert where ours holds all experts.

    Source: Neuro-JEPA spec, section 12.2.
    """
    return {name: _encoder_names(name, config) for name in encoder_shapes(config)}


def predictor_names(config: PredictorConfig) -> dict[str, tuple[str, ...]]:
    """The same for the predictor, as training checkpoints of the reference name it.

    Source: Neuro-JEPA spec, section 12.3.
    """
    names = {}
    for name in predictor_shapes(config):
        if name == "mask_tokens":
            names[name] = tuple(f"mask_tokens.{kind}" for kind in range(config.mask_tokens))
        elif name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            names[name] = (f"predictor_blocks.{number}.{_in_block(rest)}",)
        else:
            module, leaf = name.rsplit(".", 1)
            names[name] = (f"{_PREDICTOR_TOP[module]}.{leaf}",)
    return names


def published_shapes(config: NeuroJepaConfig) -> dict[str, tuple[int, ...]]:
    """All tensors of the release's encoder: name to shape, counts of its training included.

    Source: Neuro-JEPA spec, section 12.2; 574 tensors at the released size.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    ours = encoder_shapes(config)
    for name, theirs in encoder_names(config).items():
        shape = ours[name]
        if name == "patch_embedding.linear.weight":
            shape = (config.width, config.channels, *config.patch_size)
        shapes |= dict.fromkeys(theirs, shape[1:] if ".experts." in name else shape)
    return shapes | {f"blocks.{block}.mlp.counts": (config.mixture.experts,) for block in config.expert_blocks}


def encoder_state(tensors: Mapping[str, Tensor], config: NeuroJepaConfig) -> dict[str, Tensor]:
    """Our encoder's state from the release's tensors by plain name, float32.

    Raises:
        WeightsError: tensors are missing, too many, or of another shape.
    """
    _check(tensors, published_shapes(config))
    names, shapes = encoder_names(config), encoder_shapes(config)
    state = {name: _joined([tensors[part] for part in parts]).float() for name, parts in names.items()}
    kernel = state["patch_embedding.linear.weight"]
    state["patch_embedding.linear.weight"] = kernel.permute(0, 2, 3, 4, 1).flatten(1)
    return {name: value.reshape(shapes[name]) for name, value in state.items()}


def predictor_state(tensors: Mapping[str, Tensor], config: PredictorConfig) -> dict[str, Tensor]:
    """Our predictor's state from the reference's tensors by name, float32.

    Raises:
        WeightsError: tensors are missing, too many, or of another shape.
    """
    names, shapes = predictor_names(config), predictor_shapes(config)
    expected: dict[str, tuple[int, ...]] = {}
    for name, parts in names.items():
        expected |= dict.fromkeys(parts, (1, 1, config.width) if name == "mask_tokens" else shapes[name])
    _check(tensors, expected)
    return {
        name: _joined([tensors[part] for part in parts]).float().reshape(shapes[name]) for name, parts in names.items()
    }


def _encoder_names(name: str, config: NeuroJepaConfig) -> tuple[str, ...]:
    if not name.startswith("blocks."):
        module, leaf = name.rsplit(".", 1)
        return (f"{_TOP[module]}.{leaf}",)
    _, number, rest = name.split(".", 2)
    if rest == "mlp.router.balance":
        return (f"blocks.{number}.mlp.gate.bias",)
    if rest.startswith("mlp.experts."):
        layer, leaf = rest.rsplit(".", 1)[1].split("_")
        places = range(config.mixture.experts)
        return tuple(f"blocks.{number}.mlp.experts.{place}.{_EXPERT[layer]}.{leaf}" for place in places)
    return (f"blocks.{number}.{_in_block(rest)}",)


def _in_block(rest: str) -> str:
    module, leaf = rest.rsplit(".", 1)
    return f"{_BLOCK[module]}.{leaf}"


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts)


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    shaped = [name for name in expected if name in tensors and tuple(tensors[name].shape) != expected[name]]
    for names, what in ((missing, "lack"), (extra, "hold something unknown,"), (shaped, "hold another shape of")):
        if names:
            raise WeightsError(f"the weights are not of this Neuro-JEPA: they {what} {names[0]!r}", USE_RELEASE)
