"""Masks made of boxes of one scale, brought to an exact count along their surface."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from training.masking.provider import MaskRequest, check_ratio, hidden_count


@dataclass(frozen=True)
class BlockScale:
    """Boxes of one kind.

    Attributes:
        blocks: boxes that are drawn; they may overlap.
        area: smallest and largest share of the plane of the first two axes that a box covers.
        depth: smallest and largest share of the last axis that it covers.
        aspect: smallest and largest ratio of its sides in the plane, drawn evenly in the logarithm.
    """

    blocks: int
    area: tuple[float, float]
    depth: tuple[float, float] = (0.0, 1.0)
    aspect: tuple[float, float] = (0.75, 1.5)

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"blocks {self.blocks} must be at least 1")
        for name in ("area", "depth"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 1 or high == 0:
                raise ValueError(f"{name} {low}, {high} must rise within 0 and 1")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect {self.aspect} must rise and lie above 0")


SMALL = BlockScale(32, (0.0, 0.2))
MEDIUM = BlockScale(16, (0.2, 0.5))
LARGE = BlockScale(4, (0.5, 0.7))


@dataclass(frozen=True)
class BlockMask:
    """Hide boxes, then grow or shrink them along their surface to the exact count.

    Growing takes background before tissue and shrinking gives tissue back first, so that more of what is seen is
    tissue. Evidence `foreground`, `(N,)` bool, says which is which; without it neither is preferred.

    Attributes:
        scale: the boxes.
        ratio: share of the tokens to hide; the count is exact (`hidden_count`).

    Source: Neuro-JEPA spec, section 6.3.
    """

    scale: BlockScale
    ratio: float = 0.75

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def __call__(self, request: MaskRequest, rng: np.random.Generator) -> Tensor:
        """Draw one mask, `(N,)` bool.

        Raises:
            InputError: the foreground is of another grid, or the grid is too small.
        """
        count = hidden_count(request.tokens, self.ratio)
        tissue = request.evidence.get("foreground", torch.ones(request.tokens, dtype=torch.bool))
        if tissue.shape != (request.tokens,):
            raise InputError(f"the foreground is {tuple(tissue.shape)} for {request.tokens} tokens", "use one grid")
        hidden = np.zeros(request.grid, dtype=bool)
        for _ in range(self.scale.blocks):
            hidden[draw_box(request.grid, self.scale, rng)] = True
        tissue_grid = tissue.bool().numpy().reshape(request.grid)
        return torch.from_numpy(adjust(hidden, tissue_grid, count, rng).ravel())


def draw_box(grid: tuple[int, int, int], scale: BlockScale, rng: np.random.Generator) -> tuple[slice, slice, slice]:
    """Draw the place and the size of a box, at least one token in each direction.

    Args:
        grid: tokens along the three axes.
        scale: what it may be like.
        rng: where randomness comes from.
    """
    rows, columns, layers = grid
    plane = rows * columns
    depth = int(layers * _share(scale.depth, layers, rng))
    area = max(1, int(plane * _share(scale.area, plane, rng)))
    aspect = math.exp(rng.uniform(math.log(scale.aspect[0]), math.log(scale.aspect[1])))
    sides = (round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect)), depth)
    sizes = [min(max(side, 1), most) for side, most in zip(sides, grid, strict=True)]
    starts = [int(rng.integers(most - size + 1)) for size, most in zip(sizes, grid, strict=True)]
    first, second, third = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return first, second, third


def adjust(hidden: np.ndarray, tissue: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Bring a mask to a count, layer by layer along its surface.

    Args:
        hidden: the mask, bool on the grid.
        tissue: where there is tissue, of the same shape.
        count: how many tokens shall be hidden.
        rng: orders what is equally preferred.

    Returns:
        The new mask.
    """
    grows = int(hidden.sum()) < count
    chosen, prefer = (hidden, ~tissue) if grows else (~hidden, tissue)
    wanted = count if grows else hidden.size - count
    chosen = chosen.copy()
    while (lacking := wanted - int(chosen.sum())) > 0:
        edge = ~chosen & _touched(chosen)
        places = np.flatnonzero(edge if edge.any() else ~chosen)
        places = rng.permutation(places)
        first = np.argsort(~prefer.ravel()[places], kind="stable")
        chosen.ravel()[places[first[:lacking]]] = True
    return chosen if grows else ~chosen


def _share(limits: tuple[float, float], units: int, rng: np.random.Generator) -> float:
    low, high = limits
    return rng.uniform(min(max(low, 1 / units), high), high)


def _touched(chosen: np.ndarray) -> np.ndarray:
    """Places that share a face with a chosen one."""
    touched = np.zeros_like(chosen)
    for axis in range(3):
        near, along = np.moveaxis(touched, axis, 0), np.moveaxis(chosen, axis, 0)
        near[1:] |= along[:-1]
        near[:-1] |= along[1:]
    return touched
