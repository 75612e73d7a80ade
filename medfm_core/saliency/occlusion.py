"""Occlusion: cover a part of the volume and see how far the score falls. Asks nothing of the model's inside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from medfm_core.layers.patches import patch_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.saliency.fills import Box, blurred, surround_mean
from medfm_core.saliency.quiet import quiet
from medfm_core.saliency.targets import Encoder, Target, check_volume, score_volumes

FILLS = ("surround", "blur")


class _Scene(NamedTuple):
    """What every covering is scored with."""

    encoder: Encoder
    volume: Tensor
    target: Target
    patch: tuple[int, int, int]


@dataclass(frozen=True)
class Occlusion:
    """Slide boxes over the volume, large ones first, then small ones where the large ones mattered.

    Boxes overlap by half. A patch's saliency is the mean fall of the score over the boxes that covered it, per patch
    of the box, and 0 where the score rose. Where a finer level looked, it says how the coarser level's sum is shared
    out; elsewhere the coarser level stands.

    Attributes:
        sides: side of the boxes in patches of the model, one per level, falling.
        refined: share of a finer level's boxes that is looked at, where the coarser level is highest; in `(0, 1]`.
        fill: what covers: "surround", the mean of a rim one patch wide around the box, or "blur", the volume
            blurred by as much as the box is long.
        batch_size: volumes encoded at a time.
        image_channels: how many channels, the first ones, are covered; the others, such as an organ's mask, stay. None
            for all.

    Source: occlusion sensitivity, arXiv:1311.2901, section 4.2.
    """

    sides: tuple[int, ...] = (4, 2)
    refined: float = 0.125
    fill: str = "surround"
    batch_size: int = 8
    image_channels: int | None = None

    def __post_init__(self) -> None:
        falling = all(a > b for a, b in zip(self.sides, self.sides[1:], strict=False))
        if not self.sides or min(self.sides) < 1 or not falling:
            raise ValueError(f"sides {self.sides} must be falling whole numbers of at least 1")
        if not 0 < self.refined <= 1 or self.batch_size < 1:
            raise ValueError("refined must lie in (0, 1] and batch_size be at least 1")
        if self.fill not in FILLS:
            raise ValueError(f"fill {self.fill!r} must be one of {', '.join(FILLS)}")

    @torch.no_grad()
    def __call__(self, encoder: Encoder, volume: Tensor, target: Target, progress: Progress = SILENT) -> Tensor:
        """Explain a score.

        Args:
            encoder: with `config.patch_size`, voxels along D, H, W.
            volume: `(1, C, D, H, W)`.
            target: the score of an embedding; need not be differentiable.
            progress: told of every batch.

        Returns:
            Fall of the score per patch along D, H, W, float32, at least 0.

        Raises:
            InputError: not one volume that divides into patches, or no score.
            CancelledError: no more is wanted.
        """
        check_volume(volume)
        scene = _Scene(encoder, volume, target, tuple(encoder.config.patch_size))
        grid = patch_grid(volume.shape[2:], scene.patch)
        with quiet(encoder):
            whole = float(score_volumes(encoder, volume, target)[0])
            saliency = torch.zeros(grid)
            for level, side in enumerate(self.sides):
                if level and not float(saliency.sum()):
                    break
                boxes = list(_boxes(grid, side))
                boxes = _highest(boxes, saliency, self.refined) if level else boxes
                falls = whole - self._covered_scores(scene, boxes, progress)
                saliency = _merge(saliency, boxes, falls, first=not level)
        return saliency

    def _covered_scores(self, scene: _Scene, boxes: Sequence[Box], progress: Progress) -> Tensor:
        """Score of the volume with each of the boxes (in patches) covered, `(len(boxes),)` on the CPU."""
        scores = []
        smooth: dict[tuple[int, ...], Tensor] = {}
        with progress.stage("Cover parts of the organ", len(boxes)) as stage:
            for at in range(0, len(boxes), self.batch_size):
                some = [_in_voxels(box, scene.patch) for box in boxes[at : at + self.batch_size]]
                batch = scene.volume.repeat(len(some), 1, 1, 1, 1)
                for covered, box in zip(batch, some, strict=True):
                    fill = self._fill(scene, box, smooth)
                    covered[(slice(self.image_channels), *box)] = fill[: self.image_channels]
                scores.append(score_volumes(scene.encoder, batch, scene.target).cpu())
                stage.advance(len(some))
        return torch.cat(scores)

    def _fill(self, scene: _Scene, box: Box, smooth: dict[tuple[int, ...], Tensor]) -> Tensor:
        if self.fill == "surround":
            return surround_mean(scene.volume, box, scene.patch)[0]
        sides = tuple(part.stop - part.start for part in box)
        if sides not in smooth:
            smooth[sides] = blurred(scene.volume, sides)
        return smooth[sides][(0, slice(None), *box)]


def _boxes(grid: tuple[int, int, int], side: int) -> Iterator[Box]:
    """Boxes of `side` patches, or as long as the grid is, that overlap by half and reach every patch."""
    sides = [min(side, count) for count in grid]
    step = max(1, side // 2)
    starts = [sorted({*range(0, n - s + 1, step), n - s}) for n, s in zip(grid, sides, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(start, start + s) for start, s in zip(corner, sides, strict=True))


def _highest(boxes: Sequence[Box], saliency: Tensor, share: float) -> list[Box]:
    means = torch.stack([saliency[box].mean() for box in boxes])
    chosen = means.topk(max(1, math.ceil(share * len(boxes)))).indices.sort().values
    return [boxes[index] for index in chosen.tolist()]


def _merge(saliency: Tensor, boxes: Sequence[Box], falls: Tensor, *, first: bool) -> Tensor:
    """Put a level's falls into the map of the coarser levels."""
    total, count = torch.zeros_like(saliency), torch.zeros_like(saliency)
    for box, fall in zip(boxes, falls.tolist(), strict=True):
        total[box] += fall / total[box].numel()
        count[box] += 1
    fine = (total / count.clamp(min=1)).clamp(min=0)
    if first:
        return fine
    seen = count > 0
    if not float(fine.sum()):
        return saliency
    return torch.where(seen, fine * (saliency[seen].sum() / fine.sum()), saliency)


def _in_voxels(box: Box, patch: tuple[int, int, int]) -> Box:
    return tuple(slice(part.start * side, part.stop * side) for part, side in zip(box, patch, strict=True))
