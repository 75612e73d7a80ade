"""Organ labels of a CT: the card's preprocessing, the net in a sliding window, labels on the input's grid."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.errors import ModalityError, WeightsError
from medfm_core.preprocessing import to_channels, to_model_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Kind, Volume, crop, reorient

log = logging.getLogger(__name__)


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

    Raises:
        WeightsError: weights missing, damaged or of another architecture.
        ResourceError: the device is not there.
    """

    def __init__(self, card: ModelCard, device: str = "auto", *, deterministic: bool = False) -> None:
        from medfm_core.inference.devices import choose_device
        from medfm_core.models.segmenter import load_segmenter

        if card.task != "organ_segmentation":
            raise WeightsError(f"{card.id} is for {card.task}, not for organ_segmentation", "choose another --model")
        self.card = card
        self.device = choose_device(device)
        self.deterministic = deterministic
        self.net = load_segmenter(card, self.device)
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
            raise ModalityError(f"{self.card.id} was made for {kinds}, this is {volume.modality}", "choose another --model")
        seconds: dict[str, float] = {}
        with _clock(seconds, "prepare"):
            cropped, image = self._prepare(volume)
        with _clock(seconds, "total"):
            labels, precision = self._predict(volume, cropped, image, progress, seconds)
        seconds["paint"] = seconds.pop("total") - seconds["network"]
        return Segmentation(labels, self.card, self.card.classes, str(self.device), precision, seconds)

    def _prepare(self, volume: Volume):  # noqa: ANN202
        import torch

        cropped, on_grid = to_model_grid(volume, self.card.input)
        hu = torch.from_numpy(np.ascontiguousarray(on_grid.voxels.transpose(2, 1, 0), dtype=np.float32))
        return (cropped, on_grid.affine), to_channels(hu, self.card.input.intensity)

    def _predict(self, volume: Volume, cropped, image, progress: Progress, seconds: dict[str, float]) -> tuple[Volume, str]:  # noqa: ANN001
        import torch

        from medfm_core.inference.painting import LabelPainter
        from medfm_core.inference.sliding import SlidingWindow
        from medfm_core.inference.tiles import Tiling, fit_tile

        region, model_affine = cropped
        settings, config = self.card.inference, self.net.config
        tile = fit_tile(tuple(image.shape[1:]), settings.tile, config.divisor)
        window = SlidingWindow(Tiling(tile, settings.overlap), settings.batch, settings.zooms)
        out = np.zeros(volume.shape, np.uint8, order="F" if volume.voxels.flags.f_contiguous else "C")
        canvas = self._canvas(volume, region, out)
        painter = LabelPainter(canvas, _positions(region, model_affine), self._ids())
        seconds["network"] = 0.0
        with _clock(seconds, "network"):
            precision = self._choose_precision(image, tile)
        count = window.tile_count(tuple(image.shape[1:]))
        with progress.stage("organs", count) as stage, torch.inference_mode():
            slabs = window.run(self.net, image, config.out_channels, precision, self.device, stage.advance)
            pending = None
            while True:
                with _clock(seconds, "network"):
                    slab = next(slabs, None)
                if pending is not None:
                    painter.add(pending, last=slab is None)
                if slab is None:
                    break
                pending = slab
        return Volume(out, volume.affine, Kind.LABEL, volume.modality, volume.meta), precision.name

    def _canvas(self, volume: Volume, region: Volume, out: np.ndarray) -> np.ndarray:
        """The part of the output that the model sees, as a view `(D, H, W)` in the model's axis order."""
        whole = reorient(Volume(out, volume.affine, Kind.LABEL), self.card.input.orientation or volume.affine.codes)
        start = np.rint(whole.affine.to_voxel(region.affine.origin[None])[0]).astype(int)
        return crop(whole, start, start + region.shape).voxels.transpose(2, 1, 0)

    def _ids(self) -> np.ndarray:
        """Vocabulary id of each network channel; channels without a label count as background."""
        ids = np.zeros(self.net.config.out_channels, np.uint8)
        vocabulary = load_vocabulary()
        for channel, name in self.card.channels.items():
            ids[channel] = vocabulary.by_name(name).id
        return ids

    def _choose_precision(self, image, tile: tuple[int, int, int]):  # noqa: ANN001, ANN202
        from medfm_core.inference.devices import Precision, named_precision, probe_precision

        wish = self.card.inference.precision
        if self.deterministic:
            return Precision()
        if wish != "auto":
            return named_precision(wish)
        if self._precision is None:
            middle = [slice((n - s) // 2, (n - s) // 2 + s) for n, s in zip(image.shape[1:], _probe_shape(image.shape[1:], tile, self.net.config.divisor), strict=True)]
            self._precision = probe_precision(self.net, image[(slice(None), *middle)][None].to(self.device))
            log.info("precision=%s gain=%.2f agreement=%.4f", self._precision.name, self._precision.gain, self._precision.agreement)
        return self._precision


def segment(volume: Volume, card: ModelCard, *, device: str = "auto", deterministic: bool = False, progress: Progress = SILENT) -> Segmentation:
    """Segment one CT with a card's weights; for several volumes keep an `OrganPredictor`.

    Args:
        volume: a CT in HU.
        card: an `organ_segmentation` card.
        device: `auto`, `cpu`, `cuda`, ...
        deterministic: the same input gives the same bits.
        progress: told of the tiles done.

    Raises:
        ModalityError, WeightsError, ResourceError: see `OrganPredictor`.
    """
    start = time.perf_counter()
    predictor = OrganPredictor(card, device, deterministic=deterministic)
    loading = time.perf_counter() - start
    result = predictor(volume, progress)
    return replace(result, seconds={"load": loading, **result.seconds})
