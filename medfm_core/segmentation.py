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
from medfm_core.errors import ResourceError, WeightsError
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
        from medfm_core.models.segmenters import load_network

        if card.task != "organ_segmentation":
            raise WeightsError(f"{card.id} is for {card.task}, not for organ_segmentation", "choose another --model")
        self.card = card
        self.device = choose_device(device)
        self.deterministic = deterministic
        self.net = load_network(card, self.device)
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

        seconds = dict(spent or {})
        with torch_threads(self._threads), deterministic_kernels(self.deterministic):
            with _clock(seconds, "prepare"):
                image = to_channels(torch.from_numpy(scene.hu), self.card.input.intensity)
            with _clock(seconds, "network"):
                precision = self._choose_precision(image)
            run = self._stitch_logits if self.card.inference.stitch == "logits" else self._stitch_probabilities
            warnings = run(scene, image, precision, progress, seconds)
        with _clock(seconds, "refine"):
            for rule in scene.refine:
                rule(scene.labels)
        volume = scene.volume
        labels = Volume(scene.labels, volume.affine, Kind.LABEL, volume.modality, volume.meta)
        return Segmentation(labels, self.card, self.card.classes, str(self.device), precision.name, seconds, warnings)

    def _stitch_probabilities(
        self, scene: Scene, image: Tensor, precision: Precision, progress: Progress, seconds: dict[str, float]
    ) -> tuple[str, ...]:
        """Run the net; its classes compete at the scan's resolution."""
        from medfm_core.inference.sliding import SlidingWindow
        from medfm_core.inference.tiles import Tiling, fit_tile

        settings = self.card.inference
        tile = fit_tile(scene.hu.shape, self.tile, self.net.config.divisor)
        window = SlidingWindow(Tiling(tile, settings.overlap), settings.batch, settings.zooms)
        with progress.stage("organs", window.tile_count(scene.hu.shape)) as stage:
            slabs = window.run(self.net, image, self.net.config.out_channels, precision, self.device, stage.advance)
            self._paint(scene, slabs, seconds)
        return ()

    def _stitch_logits(
        self, scene: Scene, image: Tensor, precision: Precision, progress: Progress, seconds: dict[str, float]
    ) -> tuple[str, ...]:
        """Run the net as MONAI does, in smaller tiles where a GPU's memory is too short; say so."""
        import torch

        from medfm_core.inference.memory import tile_ladder

        for tile in tile_ladder(self.tile, self.net.config.divisor):
            try:
                self._try_tile(tile, scene, image, precision, progress, seconds)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                log.info("tile %s does not fit", tile)
                continue
            wanted = self.card.inference.tile
            if tile == wanted:
                return ()
            sizes = [" x ".join(map(str, sides)) for sides in (tile, wanted)]
            return (f"Memory is short: the model saw tiles of {sizes[0]} voxels and not the published {sizes[1]}",)
        raise ResourceError(
            f"{self.card.id} does not fit into the memory of {self.device}",
            "use --device cpu, or choose another --model",
        )

    def _try_tile(
        self,
        tile: tuple[int, int, int],
        scene: Scene,
        image: Tensor,
        precision: Precision,
        progress: Progress,
        seconds: dict[str, float],
    ) -> None:
        from medfm_core.inference.logit_window import LogitWindow
        from medfm_core.inference.nearest_painting import NearestPainter

        settings, ids = self.card.inference, self._ids()
        window = LogitWindow(tile, settings.overlap, settings.batch)
        painter = NearestPainter(scene.canvas, scene.positions, scene.hu.shape, ids)
        with progress.stage("organs", window.tile_count(scene.hu.shape)) as stage:
            rows = window.run(self.net, image, len(ids), precision, self.device, stage.advance)
            while True:
                with _clock(seconds, "network"):
                    finished = next(rows, None)
                if finished is None:
                    return
                with _clock(seconds, "paint"):
                    painter.add(finished)

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
        """Vocabulary id of each network output, `(classes,)` uint8; outputs without a label count as background."""
        numbers = getattr(self.net, "numbers", range(self.net.config.out_channels))
        vocabulary, channels = load_vocabulary(), self.card.channels
        return np.array([vocabulary.by_name(channels[n]).id if n in channels else 0 for n in numbers], np.uint8)


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
