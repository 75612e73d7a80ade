"""Cover an image of any size by tiles of whole tokens, so that no tile is larger than what a network was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

Sides = tuple[int, int, int]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class TokenTiles:
    """Tiles side by side, the image in the middle of them; all along D, H, W.

    Attributes:
        shape: voxels of the image.
        patch: voxels of a token.
        tile: tokens of a tile.
        counts: tiles.
    """

    shape: Sides
    patch: Sides
    tile: Sides
    counts: Sides

    @property
    def grid(self) -> Sides:
        """Tokens of all tiles together."""
        return tuple(count * side for count, side in zip(self.counts, self.tile, strict=True))

    @property
    def before(self) -> Sides:
        """Voxels that are added before the image."""
        return tuple((n * p - length) // 2 for n, p, length in zip(self.grid, self.patch, self.shape, strict=True))

    def padded(self, image: Tensor, value: float = 0.0) -> Tensor:
        """Add voxels around the last three axes of an image until the tiles are full."""
        widths: list[int] = []
        for n, p, length, first in reversed(list(zip(self.grid, self.patch, self.shape, self.before, strict=True))):
            widths += [first, n * p - length - first]
        return functional.pad(image, widths, value=value)

    def inside(self, padded: Tensor) -> Tensor:
        """Take the image out of what `padded` made; the inverse of it."""
        box = tuple(slice(first, first + n) for first, n in zip(self.before, self.shape, strict=True))
        return padded[(..., *box)]

    def boxes(self) -> Iterator[tuple[Box, Box]]:
        """Each tile, W fastest: its place among the tokens, and among the voxels of the padded image."""
        for number in range(self.counts[0] * self.counts[1] * self.counts[2]):
            rest, column = divmod(number, self.counts[2])
            place = (*divmod(rest, self.counts[1]), column)
            tokens = tuple(slice(n * t, (n + 1) * t) for n, t in zip(place, self.tile, strict=True))
            yield tokens, self._voxels(tokens)

    def with_margin(self, place: Box, tokens: int) -> tuple[Box, Box, Box]:
        """A tile and what stands around it, for networks that see less at their borders.

        Args:
            place: the tile among the tokens, from `boxes`.
            tokens: how many are wanted on each side; the grid's end may leave fewer.

        Returns:
            The widened tile among the voxels of the padded image; the tile's own tokens within it; its own voxels.
        """
        wide = [slice(max(0, s.start - tokens), min(n, s.stop + tokens)) for s, n in zip(place, self.grid, strict=True)]
        own = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(place, wide, strict=True))
        return self._voxels(wide), own, self._voxels(own)

    def _voxels(self, tokens: Sequence[slice]) -> Box:
        return tuple(slice(s.start * p, s.stop * p) for s, p in zip(tokens, self.patch, strict=True))


def cover(shape: Sequence[int], patch: Sequence[int], most: Sequence[int]) -> TokenTiles:
    """Lay the fewest tiles that cover an image, each as small as that allows.

    Args:
        shape: voxels of the image.
        patch: voxels of a token.
        most: tokens of the largest tile.
    """
    needed = [-(-length // side) for length, side in zip(shape, patch, strict=True)]
    counts = [-(-n // limit) for n, limit in zip(needed, most, strict=True)]
    tile = [-(-n // count) for n, count in zip(needed, counts, strict=True)]
    return TokenTiles(tuple(shape), tuple(patch), tuple(tile), tuple(counts))
