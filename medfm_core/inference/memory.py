"""How much memory a run will take, known from the header before a voxel is read. No torch here.

The net was measured at 280 to 900 bytes per voxel of a tile, by precision and tile size; the other figures count the
arrays that are alive at once. A plan is a bound to stay below, not an exact account: `Testing/benchmarks/analyze_ct.py`
prints the peak beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from medfm_core.cards import ModelCard
from medfm_core.errors import ResourceError
from medfm_core.geometry import Grid
from medfm_core.machine import memory
from medfm_core.settings import read_settings

_PROCESS = 0.45e9  # interpreter, torch, SimpleITK, matplotlib
_ACTIVATIONS = 900.0  # bytes per voxel of a tile: logits and probabilities in fp32, features of every level
_PUBLISHED_ACTIVATIONS = {"monai_segresnet": 1900.0, "monai_vista3d": 4200.0}  # measured, logits included
_SCORES = 3.0  # copies of a tile's depth of class scores: the sum, the finished slab, the rows kept for painting
_SUMS = 1.05  # likewise where logits are stitched: the sum, and a row of it
_READING = 2.0  # copies of the voxels while a file is decoded and checked
_SHRINK = ((1.0, 1.0), (0.75, 1.0), (0.5, 1.0), (0.5, 0.75), (0.5, 0.5))


@dataclass(frozen=True)
class MemoryPlan:
    """What a run will use.

    Attributes:
        tile: `(D, H, W)` of the sliding window in voxels.
        expected_bytes: the peak that is planned for.
        available_bytes: what the machine or the user allows.
    """

    tile: tuple[int, int, int]
    expected_bytes: float
    available_bytes: float


def plan_memory(grid: Grid, itemsize: int, card: ModelCard, *, divisor: int = 16) -> MemoryPlan:
    """Choose the largest tile that fits.

    Args:
        grid: the input's grid, from its header.
        itemsize: bytes per stored voxel.
        card: the segmenter.
        divisor: tile sides are multiples of this.

    Raises:
        ResourceError: not even the smallest tile fits.
    """
    allowed = read_settings().memory_gb
    available = allowed * 1e9 if allowed else float(memory().free)
    plans = []
    for tile in tile_ladder(card.inference.tile or (64, 96, 128), divisor):
        plans.append(MemoryPlan(tile, _expected(grid, itemsize, card, tile), available))
        if plans[-1].expected_bytes <= available:
            return plans[-1]
    least = min(plan.expected_bytes for plan in plans)
    size = " x ".join(str(n) for n in grid.shape)
    raise ResourceError(
        f"this scan of {size} voxels needs about {least / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free",
        "close other programs, crop or coarsen the scan, or use a machine with more memory",
    )


def tile_ladder(wish: tuple[int, int, int], divisor: int) -> list[tuple[int, int, int]]:
    """The tile that is wished for and smaller ones, to try in this order.

    Args:
        wish: `(D, H, W)` in voxels.
        divisor: sides of the smaller ones are multiples of this.
    """
    ladder = [
        tuple(max(divisor, int(n * s) // divisor * divisor) for n, s in zip(wish, (depth, sides, sides), strict=True))
        for depth, sides in _SHRINK[1:]
    ]
    return list(dict.fromkeys([wish, *ladder]))


def _expected(grid: Grid, itemsize: int, card: ModelCard, tile: tuple[int, int, int]) -> float:
    native = float(math.prod(grid.shape))
    spacing = card.input.spacing_mm or grid.affine.spacing
    model_shape = [math.ceil(mm / step) for mm, step in zip(sorted(grid.extent_mm), sorted(spacing), strict=True)]
    model = float(math.prod(model_shape))
    section = max(model / model_shape[0], float(tile[1] * tile[2]))
    classes = len(card.channels) + 1
    channels = len(card.input.intensity.windows or (None,))
    reading = native * itemsize * _READING
    zoom = max(card.inference.zooms) ** 3
    if card.source.kind == "package":  # a process of its own runs it; here the scan and its label map are held
        return _PROCESS + reading + native * 2
    activations = _PUBLISHED_ACTIVATIONS.get(card.architecture.name, _ACTIVATIONS)
    running = (
        native * (itemsize + 1)
        + model * 4 * (channels + 2)
        + math.prod(tile) * zoom * activations * card.inference.batch
    )
    copies = _SUMS if card.inference.stitch == "logits" else _SCORES
    running += classes * tile[0] * section * 4 * copies
    known = sum(file.bytes or 0 for file in card.weights if file.role == "weights")
    weights = known or 1e9 * (card.needs.disk_gb or 0.0)
    return _PROCESS + weights + max(reading, running)
