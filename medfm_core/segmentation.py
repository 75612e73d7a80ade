"""Organ labels of a CT: the card's preprocessing, the net in a sliding window, labels on the input's grid.

Importing torch and loading the weights takes longer than most of what else is done to a scan, so both can run beside
it: `LoadingPredictor` loads in a thread of its own, from when it is made until its first scan is ready for the net.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.errors import WeightsError
from medfm_core.inference.scene import Scene, prepare
from medfm_core.preprocessing import to_channels
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Kind, Volume

if TYPE_CHECKING:
    from torch import Tensor

    from medfm_core.inference.devices import Precision
    from medfm_core.inference.sliding import Slab

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
        seconds: time per stage; `network` is the time inside the net alone, `load` that spent waiting for it.
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
        threads: CPU threads of the net; None for as many as torch takes.

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
        threads: int | None = None,
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
        self._threads = threads
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
        seconds: dict[str, float] = {}
        with _clock(seconds, "prepare"):
            scene = prepare(volume, self.card)
        return self.outline(scene, progress, seconds)

    def outline(
        self, scene: Scene, progress: Progress = SILENT, spent: Mapping[str, float] | None = None
    ) -> Segmentation:
        """Segment a CT that is ready.

        Args:
            scene: from `prepare`; its labels are filled.
            progress: told of the tiles done.
            spent: seconds of stages that came before.

        Raises:
            ResourceError: the volume needs more memory than there is.
        """
        import torch

        from medfm_core.inference.modes import deterministic_kernels, torch_threads
        from medfm_core.inference.sliding import SlidingWindow
        from medfm_core.inference.tiles import Tiling, fit_tile

        settings, seconds = self.card.inference, dict(spent or {})
        with torch_threads(self._threads), deterministic_kernels(self.deterministic):
            with _clock(seconds, "prepare"):
                tile = fit_tile(scene.hu.shape, self.tile, self.net.config.divisor)
                window = SlidingWindow(Tiling(tile, settings.overlap), settings.batch, settings.zooms)
                image = to_channels(torch.from_numpy(scene.hu), self.card.input.intensity)
            with _clock(seconds, "network"):
                precision = self._choose_precision(image)
            with progress.stage("organs", window.tile_count(scene.hu.shape)) as stage:
                slabs = window.run(self.net, image, self.net.config.out_channels, precision, self.device, stage.advance)
                self._paint(scene, slabs, seconds)
        with _clock(seconds, "refine"):
            for rule in scene.refine:
                rule(scene.labels)
        volume = scene.volume
        labels = Volume(scene.labels, volume.affine, Kind.LABEL, volume.modality, volume.meta)
        return Segmentation(labels, self.card, self.card.classes, str(self.device), precision.name, seconds)

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

    def _paint(self, scene: Scene, slabs: Iterator[Slab], seconds: dict[str, float]) -> None:
        """Run the window and paint each slab once it is known whether another follows."""
        from medfm_core.inference.painting import LabelPainter

        painter = LabelPainter(scene.canvas, scene.positions, self._ids())
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


class LoadingPredictor:
    """An `OrganPredictor` that loads in a thread of its own while the caller goes on.

    Args:
        card: an `organ_segmentation` card.
        device: `auto`, `cpu`, `cuda`, ...
        settings: further arguments of `OrganPredictor`.
    """

    def __init__(self, card: ModelCard, device: str = "auto", **settings: Any) -> None:
        self._card = card
        pool = ThreadPoolExecutor(1, "loading")
        self._loading = pool.submit(_load, card, device, settings)
        pool.shutdown(wait=False)

    def __call__(self, volume: Volume, progress: Progress = SILENT) -> Segmentation:
        """Segment one CT, with the errors of `OrganPredictor` and of making one."""
        seconds: dict[str, float] = {}
        with _clock(seconds, "prepare"):
            scene = prepare(volume, self._card)
        with _clock(seconds, "load"):
            predictor = self._loading.result()
        return predictor.outline(scene, progress, seconds)


def _load(card: ModelCard, device: str, settings: Mapping[str, Any]) -> OrganPredictor:
    """Make the predictor; torch's import makes half a million objects that stay, so none is looked at for garbage."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return OrganPredictor(card, device, **settings)
    finally:
        if collects:
            gc.enable()


def segment(volume: Volume, card: ModelCard, *, progress: Progress = SILENT, **settings: Any) -> Segmentation:
    """Segment one CT with a card's weights; for several volumes keep an `OrganPredictor`.

    Args:
        volume: a CT in HU.
        card: an `organ_segmentation` card.
        progress: told of the tiles done.
        settings: further arguments of `OrganPredictor`.

    Raises:
        ModalityError, WeightsError, ResourceError: see `OrganPredictor`.
    """
    return LoadingPredictor(card, **settings)(volume, progress)


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
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
