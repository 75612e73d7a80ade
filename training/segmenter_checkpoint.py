"""The state of a segmenter's training on disk: one safetensors file, written beside and renamed; never pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medfm_core.errors import WeightsError
from medfm_core.weights import check_safetensors


def save_state(
    path: Path, net: nn.Module, ema: nn.Module, optimiser: torch.optim.Optimizer, step: int, recipe: str
) -> None:
    """Write net, averaged net and optimiser; the file is whole or not there.

    Args:
        path: the `.safetensors` file.
        net: the trained net.
        ema: its running average.
        optimiser: AdamW over `net.parameters()`.
        step: steps done.
        recipe: digest of the recipe, checked on resume.
    """
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("net", net), ("ema", ema)):
        tensors |= {f"{prefix}.{name}": value.detach().contiguous() for name, value in module.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value.contiguous() for name, value in state.items()}
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    save_file(tensors, part, metadata={"step": json.dumps(step), "recipe": recipe})
    os.replace(part, path)


def load_state(
    path: Path,
    net: nn.Module,
    ema: nn.Module,
    optimiser: torch.optim.Optimizer | None = None,
    recipe: str | None = None,
) -> int:
    """Read what `save_state` wrote and return the steps done.

    Args:
        path: the `.safetensors` file.
        net: receives the net.
        ema: receives the averaged net.
        optimiser: receives its state; None to start afresh from the weights.
        recipe: digest that the file must carry; None for any.

    Raises:
        WeightsError: the file is damaged, or of another net or recipe.
    """
    metadata = check_safetensors(path).metadata
    if recipe is not None and metadata.get("recipe") != recipe:
        raise WeightsError(f"{path} belongs to another recipe", "choose another --out folder or remove the file")
    tensors = load_file(path)
    for prefix, module in (("net.", net), ("ema.", ema)):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        try:
            module.load_state_dict(own, strict=True)
        except RuntimeError as problem:
            raise WeightsError(
                f"{path} does not fit this architecture", "choose the recipe it was made with"
            ) from problem
    if optimiser is not None:
        parameters = list(net.parameters())
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], value)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(json.loads(metadata["step"]))


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Give a moment the memory layout of its parameter: the fused optimiser walks both in memory order."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
