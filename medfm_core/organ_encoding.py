"""One embedding per organ of a scan: organs are cut out one by one and go through the encoder in batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.card_inputs import InputSpec
from medfm_core.embedding import OrganEmbedding, StudyEmbedding
from medfm_core.errors import WeightsError
from medfm_core.io import clamp_air
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_boxes import OrganBox, find_boxes
from medfm_core.organ_units import OrganUnit, organ_units
from medfm_core.organ_volumes import OUTSIDE_HU, OrganVolume, cut_organ, to_organ_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Volume, resample_to

if TYPE_CHECKING:
    from torch import Tensor

    from medfm_core.findings_model import FindingsModel
    from medfm_core.inference.devices import Precision

log = logging.getLogger(__name__)

STAGE = "organ embeddings"


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """A CT in HU, its organ labels (on any grid of the same patient), and what was measured of them."""

    image: Volume
    labels: Volume
    measurements: tuple[OrganMeasurement, ...]


@dataclass(frozen=True)
class EncodingSettings:
    """How to encode.

    Attributes:
        deterministic: fp32, deterministic kernels and batches that do not depend on the memory.
        threads: CPU threads; None for as many as torch takes.
        units: names of the organ units to encode; None for all.
    """

    deterministic: bool = False
    threads: int | None = None
    units: Collection[str] | None = None


@dataclass(frozen=True, eq=False)
class EncodedOrgans:
    """The embeddings of a scan and how they were made.

    Attributes:
        units: every organ unit of the card, also those that could not be encoded, and why.
        embedding: of the units that the scan shows.
        device: where the encoder ran.
        precision: the number format it ran in.
        batch: organ volumes at once.
        seconds: time taken.
        network_seconds: the part of it inside the network.
    """

    units: tuple[OrganUnit, ...]
    embedding: StudyEmbedding
    device: str
    precision: str
    batch: int
    seconds: float
    network_seconds: float = 0.0


def encode_organs(
    scan: LabelledScan, model: FindingsModel, settings: EncodingSettings | None = None, progress: Progress = SILENT
) -> EncodedOrgans:
    """Encode every organ unit that a scan shows, or the scan as a whole where the card says so.

    Units that are absent, outside the scan or not covered by the organ model are not encoded. Units that are cut are,
    and their embeddings say so.

    Args:
        scan: the CT and what is known of it.
        model: a loaded findings model.
        settings: how to encode.
        progress: told of the organs done; may cancel between two batches.

    Raises:
        ResourceError: not even one organ fits into the memory.
        WeightsError: the encoder gives values that are no numbers.
    """
    from medfm_core.inference.encoder_memory import plan_batch
    from medfm_core.inference.modes import deterministic_kernels, torch_threads

    settings, start, spec = settings or EncodingSettings(), time.perf_counter(), model.card.input
    if spec.organs.whole:
        from medfm_core.whole_scan import encode_scan

        return encode_scan(scan.image, model, settings, progress)
    units = organ_units(spec.organs, scan.measurements)
    cutter = _Cutter(scan, spec, [unit.name for unit in units if unit.is_seen and _wanted(unit, settings)])
    runner = _Runner(model, settings.deterministic)
    batch = model.card.inference.batch
    if not settings.deterministic:
        batch = plan_batch(model.image.config, spec.size, model.device)
    rows: list[Tensor] = []
    with (
        torch_threads(settings.threads),
        deterministic_kernels(settings.deterministic),
        progress.stage(STAGE, len(cutter.boxes)) as stage,
    ):
        for organs in _batches(cutter.organs(), batch):
            rows.extend(runner(organs))
            stage.advance(len(organs))
    units = _without_lost(units, cutter, settings)
    seconds = time.perf_counter() - start
    log.info("organs=%d batch=%d precision=%s seconds=%.1f", len(rows), batch, runner.precision_name, seconds)
    embedding = _study(model, units, cutter.boxes, rows)
    return EncodedOrgans(units, embedding, str(model.device), runner.precision_name, batch, seconds, runner.seconds)


class _Cutter:
    """The organ volumes of a scan, cut one at a time so that few are alive at once."""

    def __init__(self, scan: LabelledScan, spec: InputSpec, units: Sequence[str]) -> None:
        self._spec, self.boxes = spec, []
        if units:
            self._image = to_organ_grid(clamp_air(finite_scan(scan.image)), spec)
            self._labels = resample_to(scan.labels, self._image.grid)
            self.boxes: list[OrganBox] = find_boxes(self._labels, spec.organs, units)

    def organs(self) -> Iterator[OrganVolume]:
        for box in self.boxes:
            yield cut_organ(self._image, self._labels, box, self._spec)


class _Runner:
    """The encoder over batches; the first organ decides on the number format."""

    def __init__(self, model: FindingsModel, deterministic: bool) -> None:
        self._model, self._deterministic = model, deterministic
        self._precision: Precision | None = None
        self.seconds = 0.0

    @property
    def precision_name(self) -> str:
        return "fp32" if self._precision is None else self._precision.name

    def __call__(self, organs: Sequence[OrganVolume]) -> Tensor:
        """Embed organ volumes, `(B, E)` float32 on the CPU."""
        import torch

        model, start = self._model, time.perf_counter()
        voxels = torch.stack([organ.voxels for organ in organs]).to(model.device)
        sizes = None
        if model.image.config.organ_size:
            sizes = torch.stack([organ.size for organ in organs]).to(model.device)
        if self._precision is None:
            self._precision = self._choose(voxels[:1], None if sizes is None else sizes[:1])
        dtype = self._precision.dtype
        with (
            torch.inference_mode(),
            torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32),
        ):
            vectors = model.image(voxels, sizes).float().cpu()
        self.seconds += time.perf_counter() - start
        if not torch.isfinite(vectors).all():
            raise WeightsError(
                f"the encoder of {model.card.id} gives values that are no numbers", "look for NaN in the scan"
            )
        return vectors

    def _choose(self, voxels: Tensor, sizes: Tensor | None) -> Precision:
        from medfm_core.inference.devices import Precision, named_precision
        from medfm_core.inference.embedding_precision import probe_embedding_precision

        if self._deterministic:
            return Precision()
        if self._model.card.inference.precision != "auto":
            return named_precision(self._model.card.inference.precision)
        return probe_embedding_precision(lambda: self._model.image(voxels, sizes), self._model.device)


def finite_scan(image: Volume) -> Volume:
    """A scan with air where it holds no number: one such voxel would spoil every embedding that sees it."""
    if image.voxels.dtype.kind != "f" or np.isfinite(image.voxels).all():
        return image
    return image.with_voxels(np.nan_to_num(image.voxels, nan=OUTSIDE_HU, posinf=OUTSIDE_HU, neginf=OUTSIDE_HU))


def _wanted(unit: OrganUnit, settings: EncodingSettings) -> bool:
    return settings.units is None or unit.name in settings.units


def _batches(organs: Iterable[OrganVolume], size: int) -> Iterator[list[OrganVolume]]:
    organs = iter(organs)
    while batch := list(islice(organs, size)):
        yield batch


def _without_lost(units: tuple[OrganUnit, ...], cutter: _Cutter, settings: EncodingSettings) -> tuple[OrganUnit, ...]:
    """Units that no voxel of the model's grid falls into are not there for the encoder."""
    found = {box.unit for box in cutter.boxes}
    return tuple(
        unit.lost() if unit.is_seen and _wanted(unit, settings) and unit.name not in found else unit for unit in units
    )


def _study(
    model: FindingsModel, units: Sequence[OrganUnit], boxes: Sequence[OrganBox], rows: Sequence[Tensor]
) -> StudyEmbedding:
    cut = {unit.name for unit in units if unit.state is State.CUT}
    organs = [
        OrganEmbedding(box.unit, box.section, "cut" if box.unit in cut else "present", row.numpy())
        for box, row in zip(boxes, rows, strict=True)
    ]
    return StudyEmbedding(model.sentences.encoder, tuple(organs))
