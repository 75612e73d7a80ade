"""Learned perceptual similarity of slices: features of VGG16, weighed channel by channel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.models.spad_inputs import IMAGENET_DEVIATION, IMAGENET_MEAN
from medfm_core.weights import load_weights

_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_EPSILON = 1e-10
_FACTOR = 2.0


class Lpips(nn.Module):
    """Distance of two sets of slices in the features of a VGG16, frozen.

    Features after each of five stages are brought to length 1 over their channels; the squared differences are weighed
    by one number per channel, averaged over places and added up.

    Args:
        widths: channels of the convolutions of each stage.

    Shapes:
        Two sets of slices `(S, 3, H, W)` in [-1, 1], sides at least 16, to a scalar.

    Source: arXiv:1801.03924; twice its value, as in SPAD spec, section 4, with the channels' means taken out as the
        net expects (code bug 1 of section 11 does otherwise).
    """

    def __init__(self, widths: tuple[tuple[int, ...], ...] = _WIDTHS) -> None:
        super().__init__()
        ends = [3, *(stage[-1] for stage in widths)]
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip([before, *stage], stage, strict=False))
            for before, stage in zip(ends, widths, strict=False)
        )
        self.heads = nn.ParameterList(nn.Parameter(torch.ones(1, stage[-1], 1, 1)) for stage in widths)
        self.requires_grad_(False)

    def features(self, slices: Tensor) -> list[Tensor]:
        """Features of each stage, of length 1 over the channels."""
        mean, deviation = (
            torch.tensor(values, device=slices.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        state, found = ((slices.float() + 1) / 2 - mean) / deviation, []
        for number, stage in enumerate(self.stages):
            state = functional.max_pool2d(state, 2) if number else state
            for layer in stage:
                state = functional.relu(layer(state))
            found.append(state / (state.square().sum(1, keepdim=True).sqrt() + _EPSILON))
        return found

    def forward(self, drawn: Tensor, real: Tensor) -> Tensor:
        """Compare drawn slices with real ones; the gradient goes to the drawn ones only."""
        with torch.no_grad():
            wanted = self.features(real)
        total = drawn.new_zeros((), dtype=torch.float32)
        for head, one, other in zip(self.heads, self.features(drawn), wanted, strict=True):
            total = total + ((one - other).square() * head).sum(1).mean()
        return _FACTOR * total


def published_names(net: Lpips) -> dict[str, str]:
    """Pair each of our parameters with its usual name: `features.N` of VGG16, `linN.model.1.weight` of the heads."""
    names, place = {}, 0
    for stage, layers in enumerate(net.stages):
        for layer in range(len(layers)):
            for leaf in ("weight", "bias"):
                names[f"stages.{stage}.{layer}.{leaf}"] = f"features.{place}.{leaf}"
            place += 2  # a rectifier follows
        place += 1  # a pooling layer
        names[f"heads.{stage}"] = f"lin{stage}.model.1.weight"
    return names


def load_lpips(path: str | Path, widths: tuple[tuple[int, ...], ...] = _WIDTHS) -> Lpips:
    """Load the net strictly, frozen.

    Args:
        path: a safetensors file with the convolutions of VGG16 and the heads of LPIPS 0.1, under their usual names.
        widths: channels of the convolutions of each stage.

    Raises:
        WeightsError: weights missing, damaged or of another network.
    """
    with torch.device("meta"):
        net = Lpips(widths)
    names, shapes = published_names(net), {n: tuple(v.shape) for n, v in net.state_dict().items()}
    state = load_weights(path, {names[name]: shape for name, shape in shapes.items()})
    net.load_state_dict({name: state[names[name]].float() for name in shapes}, strict=True, assign=True)
    return net.requires_grad_(False)
