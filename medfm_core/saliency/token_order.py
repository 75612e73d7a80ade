"""Which place of a volume each token of an encoder stands for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from medfm_core.errors import InputError

_AXES = "DHW"


@dataclass(frozen=True)
class TokenOrder:
    """How an encoder lays its tokens out.

    Attributes:
        grid: tokens along D, H, W.
        axes: the axes from the slowest to the fastest, `DHW` where W runs fastest.
        leading: tokens before them that stand for no place, such as a class token.
    """

    grid: tuple[int, int, int]
    axes: str = "DHW"
    leading: int = 0

    def __post_init__(self) -> None:
        if sorted(self.axes) != sorted(_AXES):
            raise ValueError(f"axes {self.axes!r} must be D, H and W in some order")
        if min(self.grid) < 1 or self.leading < 0:
            raise ValueError(f"grid {list(self.grid)} must be at least 1 along each axis and leading at least 0")

    @property
    def count(self) -> int:
        """All tokens."""
        return self.leading + self.grid[0] * self.grid[1] * self.grid[2]

    def on_grid(self, values: Tensor) -> Tensor:
        """Put one value per token where the tokens lie.

        Args:
            values: `(leading + N,)`, or with axes of length 1 before it.

        Returns:
            `(d, h, w)`; what belongs to no place is left out.

        Raises:
            InputError: there are not as many values as tokens.
        """
        if values.numel() != self.count:
            raise InputError(f"{values.numel()} values do not fit {self.count} tokens")
        sides = [self.grid[_AXES.index(axis)] for axis in self.axes]
        placed = values.flatten()[self.leading :].reshape(sides)
        return placed.permute([self.axes.index(axis) for axis in _AXES]).contiguous()
