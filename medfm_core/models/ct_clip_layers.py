"""Layers of CT-CLIP's image encoder: attention over cosines, neighbours by convolution, bias by distance, a codebook.

Source of all: the code of CT-CLIP (github.com/ibrahimethemhamamci/CT-CLIP, CC BY-NC-SA 4.0), for the layers and their
order alone, and vector-quantize-pytorch 1.1.2 (MIT) for the codebook; the layers are written anew.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_COSINE_SCALE = 8.0
_LEAK = 0.1
_SEARCHED = 1024  # tokens that are compared with the codebook at a time


class NearTokens(nn.Module):
    """A depth-wise convolution that tells each token of its neighbours; along D it sees those before it alone.

    Args:
        width: channels.

    Shapes:
        `(N, T, width)`, laid out as `grid = (B, D, H, W)` says, to the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Conv3d(width, width, 3, groups=width)

    def forward(self, tokens: Tensor, grid: tuple[int, int, int, int]) -> Tensor:
        """Look at the neighbours."""
        volume = tokens.reshape(*grid, -1).movedim(-1, 1)
        volume = self.look(functional.pad(volume, (1, 1, 1, 1, 2, 0)))
        return volume.movedim(1, -1).reshape(tokens.shape)


class CosineAttention(nn.Module):
    """Attention by the cosines of queries and keys. Queries come of normalised tokens, keys and values of plain ones.

    Args:
        width: channels of a token.
        heads: attention heads.
        head_width: channels of one.

    Shapes:
        `(N, T, width)` and a bias `(heads, T, T)` or None, to `(N, T, width)`.
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_width
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.query_scale = nn.Parameter(torch.ones(head_width))
        self.key_scale = nn.Parameter(torch.ones(head_width))
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, bias: Tensor | None) -> Tensor:
        """Attend."""
        found = (self.query(self.norm(tokens)), *self.key_value(tokens).chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in found)
        query = functional.normalize(query, dim=-1) * self.query_scale
        key = functional.normalize(key, dim=-1) * self.key_scale
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=_COSINE_SCALE)
        return self.out(seen.transpose(1, 2).flatten(2))


class TokenBlock(nn.Module):
    """Neighbours, attention, and a perceptron with gates, each added to the tokens.

    Args:
        width, heads, head_width: of the attention.
        mlp_width: channels within the perceptron.

    Shapes:
        As `CosineAttention`; `grid` as `NearTokens`.
    """

    def __init__(self, width: int, heads: int, head_width: int, mlp_width: int) -> None:
        super().__init__()
        self.near = NearTokens(width)
        self.attention = CosineAttention(width, heads, head_width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * mlp_width, bias=False)
        self.narrow = nn.Linear(mlp_width, width, bias=False)

    def forward(self, tokens: Tensor, grid: tuple[int, int, int, int], bias: Tensor | None) -> Tensor:
        """Apply the block."""
        tokens = tokens + self.near(tokens, grid)
        tokens = tokens + self.attention(tokens, bias)
        value, gate = self.widen(self.norm(tokens)).chunk(2, dim=-1)
        return tokens + self.narrow(value * functional.gelu(gate))


class DistanceBias(nn.Module):
    """What attention adds for how far two tokens of a slab lie apart, by a small perceptron.

    Tokens that lie equally far apart get the same, so each distance is worked out once.

    Args:
        width: channels of the perceptron.
        heads: attention heads.

    Shapes:
        `(rows, columns)` of tokens to `(heads, rows * columns, rows * columns)`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, heads)])

    def forward(self, rows: int, columns: int) -> Tensor:
        """Work the biases out."""
        device = self.layers[0].weight.device
        steps = [torch.arange(1 - count, count, device=device) for count in (rows, columns)]
        found = torch.stack(torch.meshgrid(*steps, indexing="ij"), dim=-1).float()
        found = found.sign() * found.abs().log1p()
        for layer in self.layers[:-1]:
            found = functional.leaky_relu(layer(found), _LEAK)
        by_distance = self.layers[-1](found).movedim(-1, 0)
        row, column = (torch.arange(count, device=device) for count in (rows, columns))
        down = (row[:, None] - row + rows - 1)[:, None, :, None]
        right = (column[:, None] - column + columns - 1)[None, :, None, :]
        return by_distance[:, down, right].flatten(3, 4).flatten(1, 2)


def nearest_entries(tokens: Tensor, codebook: Tensor) -> Tensor:
    """Put the codebook's entry of the largest cosine in the place of each token.

    Args:
        tokens: `(..., C)`.
        codebook: `(K, C)`.

    Returns:
        `(..., C)`.
    """
    entries, flat = functional.normalize(codebook, dim=-1), functional.normalize(tokens, dim=-1).flatten(0, -2)
    picked = torch.cat([(part @ entries.T).argmax(dim=-1) for part in flat.split(_SEARCHED)])
    return codebook[picked].view_as(tokens)
