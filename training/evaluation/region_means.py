"""Vectors that know where: the tokens' means over the parts of a volume, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.errors import InputError
from training.evaluation.encoders import Batch, pooled_features, token_features


class RegionMeans(nn.Module):
    """An encoder whose vector is that of the parts of the volume, one after the other.

    One mean over all tokens says what there is but not on which side. Parts overlap by a token where their number does
    not divide that of the tokens.

    Args:
        encoder: its tokens run through the grid that `config.token_grid(sides)` gives, the last axis fastest.
        parts: along each axis; 1 leaves the encoder's own vector.

    Raises:
        InputError: there is no part.
    """

    def __init__(self, encoder: nn.Module, parts: int = 2) -> None:
        super().__init__()
        if parts < 1:
            raise InputError(f"a volume has no {parts} parts", "give 1 or more")
        self.encoder, self.parts = encoder, parts
        self.register_buffer("kept_parts", torch.tensor(parts))  # so that the weights' digest tells them apart

    def encode(self, batch: Batch) -> Tensor:
        """One vector per volume, `(B, parts ** 3 * F)`: the parts in order, the last axis fastest.

        Raises:
            InputError: the encoder gives no tokens, or not those of its grid.
        """
        if self.parts == 1:
            return pooled_features(self.encoder, batch)
        tokens = token_features(self.encoder, batch)
        grid = self._grid(batch["image"], tokens.shape[1])
        cells = tokens.float().transpose(1, 2).unflatten(2, grid)
        means = functional.adaptive_avg_pool3d(cells, self.parts)  # (B, F, parts, parts, parts)
        return means.flatten(2).transpose(1, 2).flatten(1)

    def _grid(self, image: Tensor, count: int) -> tuple[int, int, int]:
        """The grid of the tokens; those of register and class tokens are not told apart, so their number must fit."""
        config = getattr(self._network(), "config", None)
        if not hasattr(config, "token_grid"):
            raise InputError("this encoder does not say where its tokens lie", "give 1 part")
        grid = tuple(config.token_grid(image.shape[2:]))
        if grid[0] * grid[1] * grid[2] != count:
            raise InputError(f"the encoder has {count} tokens, its grid is {grid}", "give 1 part")
        return grid

    def _network(self) -> nn.Module:
        return self.encoder.exported() if hasattr(self.encoder, "exported") else self.encoder
