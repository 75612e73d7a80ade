"""Bringing the vectors of another encoder to a mean of 0 and a deviation of 1, and building that into a network.

Vectors of one organ lie close together in an encoder's space: what an embedder with small weights sees first is which
organ it is, which it is told anyway. One deviation for all numbers of an organ keeps their own proportions, so that
numbers in which patients hardly differ are not blown up.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import PanFM
from medfm_core.models.pan_fm_embedders import VectorTokens

_LEAST_DEVIATION = 1e-6


class VectorScale(NamedTuple):
    """Mean of each place's vectors, `(count, values)`, and the deviation of all numbers from them."""

    mean: Tensor
    deviation: float

    def __call__(self, values: Tensor) -> Tensor:
        """Standardise, `(..., count, values)`."""
        return (values - self.mean) / self.deviation


def vector_scale(organs: Sequence[tuple[Tensor, Tensor]]) -> VectorScale:
    """Find the scale of one organ.

    Args:
        organs: of each study vectors `(count, values)` and which there are, `(count,)` bool.
    """
    values = torch.stack([vectors for vectors, _ in organs]).double()
    known = torch.stack([there for _, there in organs])[..., None]
    counts = known.sum(dim=0).clamp_min(1)
    mean = torch.where(known, values, 0).sum(dim=0) / counts
    squares = torch.where(known, values - mean, 0).square().sum()
    numbers = max(int(known.sum()) * values.shape[-1], 1)
    deviation = float((squares / numbers).sqrt())
    # A single study, or none: nothing to scale by.
    return VectorScale(mean.float(), deviation if deviation > _LEAST_DEVIATION else 1.0)


@torch.no_grad()
def with_scales(model: PanFM, scales: Mapping[str, VectorScale]) -> PanFM:
    """A copy of a network that takes vectors as their encoder gives them: the scales go into the embedders.

    Args:
        model: trained on standardised vectors.
        scales: by organ.

    Raises:
        InputError: an organ is not one of vectors.
    """
    model = copy.deepcopy(model)
    for name, scale in scales.items():
        embedder = model.embedders[name]
        if not isinstance(embedder, VectorTokens):
            raise InputError(f"the organ {name} does not come as vectors", "export the run with its own recipe")
        weight = embedder.linear.weight / scale.deviation
        embedder.positions -= (scale.mean.double() @ weight.double().T).to(embedder.positions)
        embedder.linear.weight.copy_(weight)
    return model
