"""A sliding window as MONAI's: the same tiles, weights and padding, so that a published model gives its own labels.

Unlike MONAI's it never holds the scores of the whole volume. Tiles advance along D, and of rows that no later tile can
touch only the number of the best class is kept. The 105 classes of a chest at 1.5 mm then take a third of the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, product

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.inference.devices import Precision
from medfm_core.inference.tiles import gaussian_window

_DEVICE_SHARE = 0.5  # of a GPU's free memory that may hold the scores; the net needs the rest


@dataclass(frozen=True)
class LabelRows:
    """Finished rows of class numbers.

    Attributes:
        start: first row of the model's grid.
        channels: `(rows, H, W)` uint8 on the CPU, the network channel with the highest score.
    """

    start: int
    channels: Tensor


@dataclass(frozen=True)
class LogitWindow:
    """How a published net is run over a volume.

    Attributes:
        tile: `(D, H, W)` in voxels; a smaller volume is padded to it by its outermost voxels.
        overlap: share of a tile that its neighbour covers too.
        batch_size: tiles per call.

    Source: `monai.inferers.sliding_window_inference` with mode "gaussian" and padding "replicate".
    """

    tile: tuple[int, int, int]
    overlap: float = 0.25
    batch_size: int = 1

    def starts(self, shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """First voxels of the tiles of a grid `(D, H, W)` no smaller than a tile: even steps, the last one shorter."""
        axes = []
        for length, size in zip(shape, self.tile, strict=True):
            step = max(1, int(size * (1 - self.overlap)))
            axes.append([min(start, length - size) for start in range(0, length - size + step, step)])
        return list(product(*axes))

    def tile_count(self, shape: tuple[int, int, int]) -> int:
        """How many tiles a grid `(D, H, W)` takes."""
        return len(self.starts(tuple(max(n, size) for n, size in zip(shape, self.tile, strict=True))))

    @torch.inference_mode()
    def run(
        self,
        net: nn.Module,
        image: Tensor,
        classes: int,
        precision: Precision,
        device: torch.device,
        advance: Callable[[int], None],
    ) -> Iterator[LabelRows]:
        """Yield the finished rows of a volume from the feet upwards.

        Args:
            net: maps `(B, C, D, H, W)` to logits `(B, classes, D, H, W)`.
            image: `(C, D, H, W)` input channels on the CPU.
            classes: how many, background included; at most 256.
            precision: number format of the net.
            device: where the net lives.
            advance: told the number of tiles done after each batch.
        """
        missing = [max(0, size - n) for n, size in zip(image.shape[1:], self.tile, strict=True)]
        before = [n // 2 for n in missing]
        if any(missing):
            widths = [x for n, b in zip(missing[::-1], before[::-1], strict=True) for x in (b, n - b)]
            padded = functional.pad(image[None], widths, mode="replicate")[0]
        else:
            padded = image
        inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True))
        depth = self.tile[0]
        window = gaussian_window(self.tile).to(device)
        scores = _scores((classes, depth, *padded.shape[2:]), device)
        rows = [(d, list(group)) for d, group in groupby(self.starts(padded.shape[1:]), key=lambda start: start[0])]
        for number, (top, starts) in enumerate(rows):
            for chunk in (starts[i : i + self.batch_size] for i in range(0, len(starts), self.batch_size)):
                self._add(net, padded, chunk, window, scores, precision)
                advance(len(chunk))
            done = rows[number + 1][0] - top if number + 1 < len(rows) else depth
            first, last = max(top, inside[0].start), min(top + done, inside[0].stop)
            if first < last:
                channels = _best(scores[:, first - top : last - top, inside[1], inside[2]])
                yield LabelRows(first - inside[0].start, channels)
            _roll(scores, done)

    def _add(
        self, net: nn.Module, image: Tensor, starts: list, window: Tensor, scores: Tensor, precision: Precision
    ) -> None:
        depth, height, width = self.tile
        tiles = torch.stack([image[:, d : d + depth, h : h + height, w : w + width] for d, h, w in starts])
        with torch.autocast(window.device.type, precision.dtype, enabled=precision.dtype != torch.float32):
            logits = net(tiles.to(window.device))
        for answer, (_, h, w) in zip(logits, starts, strict=True):
            scores[:, :, h : h + height, w : w + width] += answer.float().mul_(window).to(scores.device)


def _scores(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Zeros for the scores of one depth of tiles: on the GPU where they leave the net enough of it, else on the CPU."""
    needed = 4.0 * torch.Size(shape).numel()
    fits = device.type == "cuda" and needed < _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
    return torch.zeros(shape, device=device if fits else "cpu")


def _best(scores: Tensor) -> Tensor:
    """The class of the highest score, `(classes, rows, H, W)` to `(rows, H, W)` uint8, one row at a time.

    All classes of a voxel have been weighted alike, so dividing by the sum of weights would change nothing.
    """
    best = torch.empty(scores.shape[1:], dtype=torch.uint8)
    for row in range(scores.shape[1]):
        best[row] = scores[:, row].argmax(0)
    return best


def _roll(scores: Tensor, rows: int) -> None:
    """Drop the first rows of axis 1 and clear what moves in behind, class by class so that no copy of all exists."""
    kept = scores.shape[1] - rows
    for plane in scores:
        if kept > 0:
            plane[:kept] = plane[rows:].clone()
        plane[max(kept, 0) :] = 0
