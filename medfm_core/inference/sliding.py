"""A sliding window that never holds more than one tile's depth of class scores.

Tiles advance along D (towards the head). As soon as no later tile can touch a row, its blended probabilities are
handed on and forgotten, so that memory does not grow with the length of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfm_core.inference.devices import Precision
from medfm_core.inference.tiles import Tiling, gaussian_window


@dataclass(frozen=True)
class Slab:
    """Finished rows of class probabilities.

    Attributes:
        start: first row of the model's grid.
        probabilities: `(classes, rows, H, W)` float32 on the CPU; they sum to 1 over classes.
    """

    start: int
    probabilities: Tensor


@dataclass(frozen=True)
class SlidingWindow:
    """How a net is run over a volume.

    Attributes:
        tiling: size and overlap of the tiles.
        batch_size: tiles per call.
        zooms: each tile is also seen enlarged by these factors, and the answers are averaged.
        empty_below: a tile whose largest input value is below this is background without being computed.
    """

    tiling: Tiling
    batch_size: int = 1
    zooms: tuple[float, ...] = (1.0,)
    empty_below: float = -0.999

    def tile_count(self, shape: tuple[int, int, int]) -> int:
        """How many tiles a grid `(D, H, W)` takes, empty ones included."""
        return len(self.tiling.starts(self._padded(shape)))

    def _padded(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return tuple(max(n, s) for n, s in zip(shape, self.tiling.size, strict=True))

    @torch.inference_mode()
    def run(
        self,
        net: nn.Module,
        image: Tensor,
        classes: int,
        precision: Precision,
        device: torch.device,
        advance: Callable[[int], None],
    ) -> Iterator[Slab]:
        """Yield the finished slabs of a volume from the feet upwards.

        Args:
            net: maps `(B, C, D, H, W)` to logits `(B, classes, D, H, W)`.
            image: `(C, D, H, W)` input channels on the CPU, -1 where there is air.
            classes: how many, background included.
            precision: number format of the net.
            device: where the net lives.
            advance: told the number of tiles done after each batch.
        """
        shape = tuple(image.shape[1:])
        padded = self._padded(shape)
        image = functional.pad(
            image, [x for n, p in zip(shape[::-1], padded[::-1], strict=True) for x in (0, p - n)], value=-1.0
        )
        depth = self.tiling.size[0]
        window = gaussian_window(self.tiling.size)
        scores = torch.zeros(classes, depth, *padded[1:])
        weights = torch.zeros(depth, *padded[1:])
        rows = [(d, list(group)) for d, group in groupby(self.tiling.starts(padded), key=lambda start: start[0])]
        for number, (top, starts) in enumerate(rows):
            for chunk in (starts[i : i + self.batch_size] for i in range(0, len(starts), self.batch_size)):
                self._add(net, image, chunk, window, scores, weights, precision, device)
                advance(len(chunk))
            following = rows[number + 1][0] if number + 1 < len(rows) else top + depth
            done = following - top
            kept = min(done, shape[0] - top)
            if kept > 0:
                finished = scores[:, :kept, : shape[1], : shape[2]] / weights[:kept, : shape[1], : shape[2]]
                yield Slab(top, finished)
            _roll(scores, done)
            _roll(weights[None], done)

    def _add(
        self,
        net: nn.Module,
        image: Tensor,
        starts: list,
        window: Tensor,
        scores: Tensor,
        weights: Tensor,
        precision: Precision,
        device: torch.device,
    ) -> None:
        _, height, width = self.tiling.size
        depth = self.tiling.size[0]
        tiles = [image[:, d : d + depth, h : h + height, w : w + width] for d, h, w in starts]
        filled = [i for i, tile in enumerate(tiles) if tile.amax() > self.empty_below]
        answers = self._answer(net, torch.stack([tiles[i] for i in filled]), precision, device) if filled else None
        for i, (_, h, w) in enumerate(starts):
            region = (slice(None), slice(h, h + height), slice(w, w + width))
            weights[region] += window
            if i in filled:
                scores[(slice(None), *region)] += answers[filled.index(i)] * window
            else:
                scores[(0, *region)] += window

    def _answer(self, net: nn.Module, batch: Tensor, precision: Precision, device: torch.device) -> Tensor:
        """Average the class probabilities of a batch of tiles over the zooms, `(B, classes, D, H, W)` float32."""
        total = None
        size = batch.shape[2:]
        batch = batch.to(device, memory_format=torch.channels_last_3d)
        for zoom in self.zooms:
            with torch.autocast(device.type, precision.dtype, enabled=precision.dtype != torch.float32):
                if zoom == 1.0:
                    logits = net(batch)
                else:
                    divisor = net.config.divisor
                    larger = [max(divisor, round(n * zoom / divisor) * divisor) for n in size]
                    seen = functional.interpolate(batch, size=larger, mode="trilinear", align_corners=False)
                    logits = functional.interpolate(net(seen), size=size, mode="trilinear", align_corners=False)
            probabilities = logits.softmax(dim=1).float()
            total = probabilities if total is None else total.add_(probabilities)
        return total.div_(len(self.zooms)).cpu()


def _roll(buffer: Tensor, rows: int) -> None:
    """Drop the first rows of axis 1 and clear what moves in behind."""
    kept = buffer.shape[1] - rows
    if kept > 0:
        buffer[:, :kept] = buffer[:, rows:].clone()
    buffer[:, max(kept, 0) :] = 0
