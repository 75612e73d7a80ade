"""Many small perceptrons, each of which serves the tokens that chose it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.layers.grouped_product import ALIGNMENT, grouped_product


@dataclass(frozen=True)
class Seating:
    """Where the choices of all tokens lie when they are put in order of expert.

    Each expert's group is filled up with empty rows to a multiple of `ALIGNMENT`, so that the number of rows depends on
    the number of choices alone and nothing of it has to be known on the host.

    Attributes:
        place: row of each choice, `(T * k,)` int64, all different.
        ends: row after each expert's last, `(E,)` int32; the last expert's group takes in all rows that are left.
        rows: how many rows there are.
    """

    place: Tensor
    ends: Tensor
    rows: int

    @property
    def owners(self) -> Tensor:
        """The expert of each row, `(rows,)` int64."""
        index = torch.arange(self.rows, device=self.ends.device, dtype=torch.int32)
        return torch.searchsorted(self.ends, index, right=True)


def seat(chosen: Tensor, experts: int) -> Seating:
    """Put choices in order of expert, those of one expert in order of token.

    Args:
        chosen: experts of each token, `(T, k)` int64 in `[0, experts)`.
        experts: how many there are, `E`.
    """
    flat = chosen.flatten()
    taken = functional.one_hot(flat, experts)
    rank = (taken.cumsum(0) - 1).gather(1, flat[:, None])[:, 0]
    filled = (taken.sum(0) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    ends = filled.cumsum(0)
    rows = (len(flat) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT + experts * ALIGNMENT
    place = (ends - filled)[flat] + rank
    is_last = torch.arange(experts, device=flat.device) == experts - 1
    return Seating(place, torch.where(is_last, rows, ends).int(), rows)


class Experts(nn.Module):
    """Routed perceptrons: Linear, exact GELU, Linear, with the weights of all experts in one tensor each.

    Args:
        width: channels of a token, `W`.
        hidden: channels inside an expert, `H`.
        experts: number of experts, `E`.

    Shapes:
        Tokens `(T, W)`, choices `(T, k)` and their weights `(T, k)` to `(T, W)`, the weighted sum of what the chosen
        experts say.

    Source: Neuro-JEPA spec, section 3.3 (no capacity, nothing dropped).
    """

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.widen_weight = nn.Parameter(torch.empty(experts, hidden, width))
        self.widen_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.narrow_weight = nn.Parameter(torch.empty(experts, width, hidden))
        self.narrow_bias = nn.Parameter(torch.zeros(experts, width))
        for weight in (self.widen_weight, self.narrow_weight):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Return `(T, W)`, in the type of the tokens or that of autocast."""
        kind = tokens.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tokens.dtype
        seating = seat(chosen, len(self.widen_weight))
        owners = functional.one_hot(seating.owners, len(self.widen_weight)).to(dtype)
        copies = tokens.to(dtype)[:, None].expand(-1, chosen.shape[1], -1).flatten(0, 1)
        rows = copies.new_zeros(seating.rows, tokens.shape[1]).index_copy(0, seating.place, copies)
        hidden = functional.gelu(_linear(rows, self.widen_weight, self.widen_bias, owners, seating.ends))
        said = _linear(hidden, self.narrow_weight, self.narrow_bias, owners, seating.ends)
        said = said.index_select(0, seating.place).unflatten(0, chosen.shape)
        return torch.bmm(weights.to(dtype)[:, None], said)[:, 0]


def _linear(rows: Tensor, weight: Tensor, bias: Tensor, owners: Tensor, ends: Tensor) -> Tensor:
    # The bias by a product with the owners' rows of the identity: its gradient is a product too, the same every time.
    return grouped_product(rows, weight.to(rows.dtype), ends) + owners @ bias.to(rows.dtype)
