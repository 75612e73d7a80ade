"""Networks with weights of a file that must be theirs, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from medfm_core.weights import load_weights

Net = TypeVar("Net", bound=nn.Module)


def load_net(
    build: Callable[[], Net],
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]],
    device: torch.device | str = "cpu",
) -> Net:
    """Build a network and load its weights strictly, in float32 and evaluation mode; none of them is kept twice.

    Args:
        build: makes the network; called where tensors have no memory.
        path: a safetensors file of the network and nothing else.
        shapes: name to shape of its tensors.
        device: where the network goes.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    state = load_weights(path, shapes, str(device))
    with torch.device("meta"):
        net = build()
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    net.load_state_dict(floats, strict=True, assign=True)
    return net.eval().requires_grad_(False)
