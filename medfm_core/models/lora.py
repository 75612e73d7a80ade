"""Low-rank additions to the linear layers of a frozen network.

The network itself stays untouched: the additions are modules of their own, hooked onto its layers. So a checkpoint
holds them alone, and taking them off gives the network back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from medfm_core.errors import InputError
from medfm_core.strict import nearest


@dataclass(frozen=True)
class LoraConfig:
    """Where additions are made, and how large.

    Attributes:
        rank: rank of an addition.
        alpha: an addition is multiplied by `alpha / rank`.
        dropout: share of the layer's input that the addition does not see in training.
        targets: last parts of the names of the linear layers, such as "q_proj"; none for no additions.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise ValueError(f"rank {self.rank} must be at least 1, and alpha {self.alpha} positive")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must lie in [0, 1)")


class LowRank(nn.Module):
    """`alpha / rank * up(down(x))`, zero at the start, to be added to what one linear layer returns.

    Args:
        features: numbers that the layer takes and returns, `(I, O)`.
        config: rank, scale, dropout.

    Source: arXiv:2106.09685, section 4.1.
    """

    def __init__(self, features: tuple[int, int], config: LoraConfig) -> None:
        super().__init__()
        self.scale = config.alpha / config.rank
        self.dropout = nn.Dropout(config.dropout)
        self.down = nn.Parameter(torch.empty(config.rank, features[0]))
        self.up = nn.Parameter(torch.zeros(features[1], config.rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.on = True

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the addition, `(..., I)` to `(..., O)`, in the type of the weights."""
        inner = functional.linear(self.dropout(inputs.to(self.down.dtype)), self.down)
        return functional.linear(inner, self.up) * self.scale

    def change(self) -> Tensor:
        """The change of the layer's weight that it amounts to without dropout, `(O, I)`."""
        return self.up @ self.down * self.scale

    def hook(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Add to a layer's output; for `register_forward_hook`."""
        return output + self(inputs[0]).to(output.dtype) if self.on else output


class LowRankAdditions(nn.ModuleDict):
    """Additions to all layers of a network that the configuration names; holds them, but not the network.

    Args:
        network: its weights are frozen; `forward` of its layers returns the sum from now on.
        config: where, and how large.

    Raises:
        InputError: a target matches no linear layer.
    """

    def __init__(self, network: nn.Module, config: LoraConfig) -> None:
        found = target_layers(network, config.targets)
        # Names of modules cannot hold full stops.
        super().__init__({name.replace(".", "/"): LowRank(_features(layer), config) for name, layer in found.items()})
        network.requires_grad_(False)
        self._layers = list(found.values())  # in a plain list, so that they do not count as modules of this one
        self._kept: list[Tensor] = []
        self._handles: list[RemovableHandle] = [
            layer.register_forward_hook(addition.hook)
            for layer, addition in zip(self._layers, self.values(), strict=True)
        ]

    @property
    def is_merged(self) -> bool:
        """Whether the network's own weights hold the sum at the moment."""
        return bool(self._kept)

    @torch.no_grad()
    def merge(self) -> None:
        """Put the sum into the network's weights, which saves the additional multiplications; undone by `unmerge`."""
        if self.is_merged:
            return
        for layer, addition in zip(self._layers, self.values(), strict=True):
            self._kept.append(layer.weight.detach().clone())  # subtracting again would leave rounding behind
            change = addition.change().to(layer.weight.device)
            layer.weight += (change.T if _is_transposed(layer) else change).to(layer.weight.dtype)
            addition.on = False

    @torch.no_grad()
    def unmerge(self) -> None:
        """Give the network its own weights back, bit for bit."""
        for layer, addition, weight in zip(self._layers, self.values(), self._kept, strict=False):
            layer.weight.copy_(weight)
            addition.on = True
        self._kept = []

    def remove(self) -> None:
        """Take the additions off the network, which then is as it was before."""
        self.unmerge()
        for handle in self._handles:
            handle.remove()


def target_layers(network: nn.Module, targets: tuple[str, ...]) -> dict[str, nn.Module]:
    """Find the linear layers whose names end in one of the targets, by their full names.

    Raises:
        InputError: a target matches none; the nearest names are given.
    """
    linear = {name: layer for name, layer in network.named_modules() if _is_linear(layer)}
    found: dict[str, nn.Module] = {}
    for target in targets:
        matching = {name: layer for name, layer in linear.items() if f".{name}".endswith(f".{target}")}
        if not matching:
            endings = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise InputError(
                f"the language model has no linear layer named {target!r}{nearest(target, endings)}",
                "correct lora.targets",
            )
        found |= matching
    return {name: linear[name] for name in linear if name in found}


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or _is_transposed(layer)


def _is_transposed(layer: nn.Module) -> bool:
    """Whether it is GPT-2's linear layer, which keeps its weight as `(I, O)`; told by name, without transformers."""
    return type(layer).__name__ == "Conv1D" and getattr(getattr(layer, "weight", None), "ndim", 0) == 2


def _features(layer: nn.Module) -> tuple[int, int]:
    rows, columns = layer.weight.shape
    return (rows, columns) if _is_transposed(layer) else (columns, rows)
