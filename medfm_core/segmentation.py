"""Organ labels of a CT: the card's preprocessing, the net in a sliding window, labels on the input's grid."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.errors import ModalityError, WeightsError
from medfm_core.geometry import Affine
from medfm_core.preprocessing import to_channels, to_model_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.refinement import RULES
from medfm_core.volume import Kind, Volume, crop, reorient

if TYPE_CHECKING:
    from torch import Tensor

    from medfm_core.inference.devices import Precision
    from medfm_core.inference.sliding import SlidingWindow

log = logging.getLogger(__name__)

_TILE = (64, 96, 128)
_PROBE = (32, 48, 64)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Organ labels and how they were made.

    Attributes:
        labels: vocabulary ids on exactly the input's grid, uint8.
        card: the weights that made them.
        covered: vocabulary names that the model can tell; anything else was not looked for.
        device: where the net ran.
        precision: the number format it ran in.
        seconds: time per stage; `network` is the time inside the net alone.
        warnings: sentences for the user.
    """

    labels: Volume
    card: ModelCard
    covered: tuple[str, ...]
    device: str = "cpu"
    precision: str = "fp32"
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class OrganPredictor:
    """A segmenter with its weights loaded, for one volume after another.

    Args:
        card: an `organ_segmentation` card.
        device: `auto`, `cpu`, `cuda`, ...
        deterministic: fp32 and deterministic kernels: the same input gives the same bits.
        tile: `(D, H, W)` of the sliding window; the card's unless memory is short.

    Raises:
        WeightsError: weights missing, damaged or of another architecture.
        ResourceError: the device is not there.
    """

    def __init__(
        self,
        card: ModelCard,
        device: str = "auto",
        *,
        deterministic: bool = False,
        tile: tuple[int, int, int] | None = None,
    ) -> None:
        from medfm_core.inference.devices import choose_device
        from medfm_core.models.segmenter import load_segmenter

        if card.task != "organ_segmentation":
            raise WeightsError(f"{card.id} is for {card.task}, not for organ_segmentation", "choose another --model")
        self.card = card
        self.device = choose_device(device)
        self.deterministic = deterministic
        self.net = load_segmenter(card, self.device)
        self.tile = tile or card.inference.tile or _TILE
        self._precision = None

    def __call__(self, volume: Volume, progress: Progress = SILENT) -> Segmentation:
        """Segment one CT.

        Args:
            volume: a CT in HU, any orientation and spacing.
            progress: told of the tiles done.

        Raises:
            ModalityError: the volume says that it is of a kind that the model was not made for.
            ResourceError: the volume needs more memory than there is.
        """
        if volume.modality and volume.modality not in self.card.input.modality:
            kinds = " or ".join(self.card.input.modality)
            raise ModalityError(
                f"{self.card.id} was made for {kinds}, this is {volume.modality}", "choose another --model"
            )
        seconds = dict.fromkeys(("prepare", "network", "paint", "refine"), 0.0)
        with _clock(seconds, "prepare"):
            scene = self._prepare(volume)
        with _clock(seconds, "network"):
            precision = self._choose_precision(scene.image)
        with (
            _deterministic(self.deterministic),
            progress.stage("organs", scene.window.tile_count(tuple(scene.image.shape[1:]))) as stage,
        ):
            self._paint(scene, precision, stage.advance, seconds)
        with _clock(seconds, "refine"):
            for rule in self.card.inference.refine:
                RULES[rule](volume, scene.labels)
        labels = Volume(scene.labels, volume.affine, Kind.LABEL, volume.modality, volume.meta)
        return Segmentation(labels, self.card, self.card.classes, str(self.device), precision.name, seconds)

    def _prepare(self, volume: Volume) -> _Scene:
        import torch

        from medfm_core.inference.sliding import SlidingWindow
        from medfm_core.inference.tiles import Tiling, fit_tile

        spec, settings = self.card.input, self.card.inference
        region, on_grid = to_model_grid(volume, spec)
        hu = torch.from_numpy(np.ascontiguousarray(on_grid.voxels.transpose(2, 1, 0), dtype=np.float32))
        tile = fit_tile(tuple(hu.shape), self.tile, self.net.config.divisor)
        window = SlidingWindow(Tiling(tile, settings.overlap), settings.batch, settings.zooms)
        labels = np.zeros(volume.shape, np.uint8, order="F" if volume.voxels.flags.f_contiguous else "C")
        whole = Volume(labels, volume.affine, Kind.LABEL)
        oriented = reorient(whole, spec.orientation) if spec.orientation else whole
        start = np.rint(oriented.affine.to_voxel(region.affine.origin[None])[0]).astype(int)
        canvas = crop(oriented, start, start + region.shape).voxels.transpose(2, 1, 0)
        image = to_channels(hu, spec.intensity)
        return _Scene(image, window, labels, canvas, _positions(region, on_grid.affine))

    def _choose_precision(self, image: Tensor) -> Precision:
        from medfm_core.inference.devices import Precision, named_precision, probe_precision

        if self.deterministic:
            return Precision()
        if self.card.inference.precision != "auto":
            return named_precision(self.card.inference.precision)
        if self._precision is None:
            self._precision = probe_precision(self.net, _middle(image, self.net.config.divisor)[None].to(self.device))
            log.info("precision=%s gain=%.2f", self._precision.name, self._precision.gain)
        return self._precision

    def _paint(
        self, scene: _Scene, precision: Precision, advance: Callable[[int], None], seconds: dict[str, float]
    ) -> None:
        """Run the window and paint each slab once it is known whether another follows."""
        from medfm_core.inference.painting import LabelPainter

        painter = LabelPainter(scene.canvas, scene.positions, self._ids())
        slabs = scene.window.run(self.net, scene.image, self.net.config.out_channels, precision, self.device, advance)
        slab = following = None
        while slab is None or following is not None:
            slab = following
            with _clock(seconds, "network"):
                following = next(slabs, None)
            if slab is not None:
                with _clock(seconds, "paint"):
                    painter.add(slab, last=following is None)
            elif following is None:
                return

    def _ids(self) -> np.ndarray:
        """Vocabulary id of each network channel, `(classes,)` uint8; channels without a label count as background."""
        ids = np.zeros(self.net.config.out_channels, np.uint8)
        vocabulary = load_vocabulary()
        for channel, name in self.card.channels.items():
            ids[channel] = vocabulary.by_name(name).id
        return ids


@dataclass(frozen=True, eq=False)
class _Scene:
    """A volume made ready: channels `(C, D, H, W)`, how they are tiled, and where the answer goes.

    `canvas` is the part of `labels` that the model sees, a view in the model's axis order; `positions` says for each of
    its axes where the canvas voxels lie on the model's grid.
    """

    image: Tensor
    window: SlidingWindow
    labels: np.ndarray
    canvas: np.ndarray
    positions: tuple[np.ndarray, np.ndarray, np.ndarray]


def segment(
    volume: Volume,
    card: ModelCard,
    *,
    device: str = "auto",
    deterministic: bool = False,
    tile: tuple[int, int, int] | None = None,
    progress: Progress = SILENT,
) -> Segmentation:
    """Segment one CT with a card's weights; for several volumes keep an `OrganPredictor`.

    Args:
        volume: a CT in HU.
        card: an `organ_segmentation` card.
        device: `auto`, `cpu`, `cuda`, ...
        deterministic: the same input gives the same bits.
        tile: `(D, H, W)` of the sliding window, where memory asks for another than the card's.
        progress: told of the tiles done.

    Raises:
        ModalityError, WeightsError, ResourceError: see `OrganPredictor`.
    """
    start = time.perf_counter()
    predictor = OrganPredictor(card, device, deterministic=deterministic, tile=tile)
    loading = time.perf_counter() - start
    result = predictor(volume, progress)
    return replace(result, seconds={"load": loading, **result.seconds})


def _positions(region: Volume, model: Affine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a region's voxels lie on the model's grid, per axis in the order (D, H, W); both share their axes."""
    step = model.inverse() @ region.affine.matrix
    return tuple(step[axis, axis] * np.arange(region.shape[axis]) + step[axis, 3] for axis in (2, 1, 0))


def _middle(image: Tensor, divisor: int) -> Tensor:
    """A small tile from the middle of `(C, D, H, W)`, sides multiples of the divisor where the image allows."""
    part = []
    for length, wish in zip(image.shape[1:], _PROBE, strict=True):
        size = max(divisor, min(wish, length // divisor * divisor))
        part.append(slice(max(0, (length - size) // 2), max(0, (length - size) // 2) + size))
    tile = image[(slice(None), *part)]
    import torch

    missing = [
        side for size, n in zip(part[::-1], tile.shape[:0:-1], strict=True) for side in (0, size.stop - size.start - n)
    ]
    return torch.nn.functional.pad(tile, missing, value=-1.0)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Ask torch for deterministic kernels where it has them (the CPU's are)."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] += time.perf_counter() - start
