"""Two modalities that look at each other before a gate mixes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from training.heads.pooling import check_present


class LateFusion(nn.Module):
    """Cross-attention both ways, then `g * a + (1 - g) * b` with a gate g of both.

    Where one of the two is missing, the other is not mixed with anything: its tokens look at nothing, and the gate is
    open for it alone.

    Args:
        width: channels of the tokens, F.
        outputs: numbers to give.
        modalities: must be 2.
        hidden: channels after the projection, a multiple of 8.
        dropout: of the cross-attention while training.

    Shapes:
        `(B, 2, N, F)` and `(B, 2)` bool to `(B, outputs)`.

    Raises:
        InputError: not two modalities.

    Source: `vit_late`, Neuro-JEPA spec section 10.3.
    """

    def __init__(self, width: int, outputs: int, modalities: int = 2, hidden: int = 512, dropout: float = 0.1) -> None:
        super().__init__()
        if modalities != 2:
            raise InputError(f"late fusion takes two modalities, not {modalities}", "use average, mil or product")
        self.projections = nn.ModuleList(_Projection(width, hidden) for _ in range(2))
        self.looks = nn.ModuleList(
            nn.MultiheadAttention(hidden, 8, dropout=dropout, batch_first=True) for _ in range(2)
        )  # fmt: skip
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.gate = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.Tanh())
        self.answer = nn.Linear(hidden, outputs)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Answer `(B, outputs)`; every sample has one of the two at least."""
        check_present(present)
        both = present.all(dim=1)[:, None, None]
        parts = [layer(tokens[:, m].masked_fill(~present[:, m, None, None], 0)) for m, layer in
                 enumerate(self.projections)]  # fmt: skip
        vectors = []
        for own, other, look, norm in zip(parts, reversed(parts), self.looks, self.norms, strict=True):
            seen, _ = look(own, other, other, need_weights=False)
            vectors.append(norm(own + torch.where(both, seen, 0.0)).mean(dim=1))
        one, other = vectors
        gate = torch.where(both[:, 0], self.gate(torch.cat(vectors, dim=1)), present[:, :1].to(one.dtype))
        return self.answer(gate * one + (1 - gate) * other)


class _Projection(nn.Module):
    """A perceptron beside a linear way: `(B, N, F)` to `(B, N, hidden)`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.straight = nn.Linear(width, hidden)
        self.bent = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.straight(tokens) + self.bent(tokens)
