"""The data source `spacing_buckets`: volumes of any slice thickness and 2D images, every batch of one degree.

A network that adapts to voxel spacing takes one degree of anisotropy per batch. A batch's degree is drawn first, as
likely as it is among all that can be drawn; then each of its places is filled with what has that degree. So each crop
stands at each place as often as if degrees were not looked at, and no volume is favoured for its spacing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import (
    SINGLE_SLICE_DEGREE,
    SINGLE_SLICE_SPACING_MM,
    adaptive_patch,
    degree_of_anisotropy,
)
from medfm_core.preprocessing import to_channels
from medfm_core.slices import slice_spacing
from medfm_core.strict import to_dict
from training.data.crop_augmentation import AUGMENTATIONS, Crop
from training.data.crops import centre_start, draw_start, foreground_points, resolved
from training.data.manifest import ManifestRow
from training.data.preparation import PreparationPlan
from training.data.slice_thickness import DEGREES, slices_needed, thicken
from training.data.spacing_buckets_config import SpacingBucketsConfig
from training.data.splits import Fractions
from training.data.stored_volume import StoredVolume
from training.data.volume_list import StoredRows, WhereStored, find_rows
from training.engine.draw import DrawKey

__all__ = ["SpacingBuckets", "SpacingBucketsConfig"]

_LOG = logging.getLogger(__name__)
_MOST_OPEN = 128
_MONITOR_FROM = 2**41  # positions that neither a run nor its monitor reaches
_BATCHES_FROM = 2**42  # keys of whole batches


class SpacingBuckets:
    """Crops of stored volumes of any spacing, and of 2D images; item i is volume i // items_per_volume.

    Args:
        config: what is drawn.

    Attributes:
        rows: the manifest row of each item.
        chances: how likely a place of a batch holds each volume at each degree, `(volumes, 6)`; they sum to 1, and
            those of a volume to its cohort's share, shared evenly among its volumes.

    Raises:
        InputError: a manifest is not sound, rows are not prepared, or nothing is in the split.
    """

    def __init__(self, config: SpacingBucketsConfig) -> None:
        self.config, self._batch_size = config, 1
        self._cohorts = [_find(config, number) for number in range(len(config.cohorts))]
        self._volumes = [
            (found, row, key) for found in self._cohorts for row, key in zip(*found.of_split(config.split), strict=True)
        ]
        self._open: OrderedDict[tuple[int, str], StoredVolume] = OrderedDict()
        opened = (self._volume(found, key) for found, _, key in self._volumes)
        self._spacing, self._slices = zip(*((_spacing(one), one.shape[0]) for one in opened), strict=True)
        self.chances = self._all_chances()

    def __len__(self) -> int:
        """Items: volumes times items per volume."""
        return len(self._volumes) * self.config.items_per_volume

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The manifest row of each item."""
        return tuple(row for _, row, _ in self._volumes for _ in range(self.config.items_per_volume))

    @property
    def digest(self) -> str:
        """Changes when the samples do."""
        keys = [key for _, _, key in self._volumes]
        text = json.dumps([to_dict(self.config, defaults=True), keys], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def set_batch_size(self, batch_size: int) -> None:
        """Say how many places a batch has, which then are of one degree; 1 until it is said."""
        self._batch_size = batch_size

    def degree_at(self, key: DrawKey) -> int:
        """The degree of anisotropy of the batch that a place belongs to."""
        batch = DrawKey(key.seed, _BATCHES_FROM + key.position // self._batch_size)
        return int(batch.rng("degree").choice(DEGREES, p=self.chances.sum(axis=0)))

    def item_at(self, key: DrawKey) -> int:
        """The item at a place of a run."""
        weights = self.chances[:, self.degree_at(key)]
        volume = int(key.rng("item").choice(len(weights), p=weights / weights.sum()))
        return volume * self.config.items_per_volume

    def volume(self, item: int) -> StoredVolume:
        """The stored volume of an item."""
        found, _, key = self._volumes[item // self.config.items_per_volume]
        return self._volume(found, key)

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw one crop; a pure function of the two.

        Args:
            item: which volume.
            key: where in the run; all draws come from it.

        Returns:
            `image` `(C, D, H, W)` float32 of whole tokens; `degree` int64; `spacing_mm` `(3,)` float32 along D, H, W,
            1e8 between the slices of a 2D image. A volume that cannot have the batch's degree comes as it is.
        """
        number = item // self.config.items_per_volume
        degree, factor = self.degree_at(key), 1.0
        if self.chances[number, degree] > 0:
            where = (self._spacing[number], self._slices[number])
            factor = self.config.thickening.draw(*where, degree, key.rng("thickness"))
        else:
            degree = degree_of_anisotropy(self._spacing[number])
        return self._draw(self.volume(item), degree, factor, key)

    def monitor_samples(self, count: int, seed: int) -> list[dict[str, Any]]:
        """Fixed crops of the validation split (of this source's own split if there is none), as they are.

        All are of the degree that most of its volumes have, so that they make a batch.

        Args:
            count: how many; first the centre of each volume, then random places.
            seed: of the random places.

        Returns:
            `image`, `degree`, `spacing_mm`, `subject`, and `target.<name>` where the manifest has it.
        """
        known = [(found, row, key) for found in self._cohorts for row, key in zip(*found.of_split("val"), strict=True)]
        known = known or self._volumes
        degrees = [degree_of_anisotropy(_spacing(self._volume(found, key))) for found, _, key in known]
        degree = max(set(degrees), key=lambda one: (degrees.count(one), -one))
        chosen = [volume for volume, one in zip(known, degrees, strict=True) if one == degree]
        samples: list[dict[str, Any]] = []
        for number in range(count):
            found, row, name = chosen[number % len(chosen)]
            key = DrawKey(seed, _MONITOR_FROM + number) if number >= len(chosen) else None
            sample: dict[str, Any] = self._draw(self._volume(found, name), degree, 1.0, key, fixed=True)
            sample["subject"] = row.subject
            samples.append(sample | {f"target.{target}": value for target, value in row.targets.items()})
        names = set.intersection(*(set(sample) for sample in samples)) if samples else set()
        return [{name: value for name, value in sample.items() if name in names} for sample in samples]

    def _all_chances(self) -> np.ndarray:
        weights, total = [], sum(cohort.weight for cohort in self.config.cohorts)
        for cohort, found in zip(self.config.cohorts, self._cohorts, strict=True):
            count = len(found.of_split(self.config.split)[0])
            weights += [cohort.weight / total / count] * count
        way = self.config.thickening
        ways = [way.chances(spacing, slices) for spacing, slices in zip(self._spacing, self._slices, strict=True)]
        chances = np.array(weights)[:, None] * np.array(ways)
        told = ", ".join(f"{degree}: {share:.1%}" for degree, share in enumerate(chances.sum(axis=0)))
        _LOG.info("batches by degree of anisotropy: %s", told)
        return chances

    def _draw(
        self, volume: StoredVolume, degree: int, factor: float | None, key: DrawKey | None, fixed: bool = False
    ) -> dict[str, Tensor]:
        """Read a crop, thicken its slices, and make tensors of it; without a key it is the centre."""
        single = degree == SINGLE_SLICE_DEGREE
        factor = 1.0 if factor is None else factor
        patch = adaptive_patch(self.config.patch, degree)
        tokens = (1, *self.config.tokens[1:]) if single else self.config.tokens
        size = tuple(n * side for n, side in zip(tokens, patch, strict=True))
        read = (slices_needed(size[0], factor), *size[1:])
        start = centre_start(volume.shape, read) if key is None else self._start(volume, read, key)
        crop = Crop(thicken(volume.crop(start, read), size[0], factor), None, volume)
        if key is not None and not fixed:
            rng = key.rng("augment")
            for step in AUGMENTATIONS[self.config.augment]:
                crop = step(crop, rng)
        image = torch.from_numpy(np.array(crop.image, dtype=np.float32, order="C"))
        rule = resolved(self.config.input.intensity_of(volume.modality), volume)
        depth = SINGLE_SLICE_SPACING_MM if single else volume.spacing[0] * factor
        spacing = torch.tensor([depth, *volume.spacing[1:]], dtype=torch.float32)
        return {"image": to_channels(image, rule), "degree": torch.tensor(degree), "spacing_mm": spacing}

    def _start(self, volume: StoredVolume, size: Sequence[int], key: DrawKey) -> tuple[int, ...]:
        rng, points = key.rng("crop"), None
        if rng.random() < self.config.foreground_share:
            points = foreground_points(volume, (), rng)
        return draw_start(volume.shape, size, rng, points)

    def _volume(self, found: StoredRows, key: str) -> StoredVolume:
        """Open, or take from those opened last."""
        place = (next(n for n, one in enumerate(self._cohorts) if one is found), key)
        if place not in self._open:
            self._open[place] = found.store.open(key)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(place)
        return self._open[place]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _find(config: SpacingBucketsConfig, number: int) -> StoredRows:
    cohort = config.cohorts[number]
    share = Fractions(config.train, config.val, round(1 - config.train - config.val, 9))
    where = WhereStored(cohort.manifest, cohort.store, split_seed=config.split_seed, fractions=share,
                        skip_failed=config.skip_failed)  # fmt: skip
    found = find_rows(where, PreparationPlan(config.input, config.preparation))
    if not found.of_split(config.split)[0]:
        raise InputError(
            f"no volume of {cohort.manifest} is in the split {config.split!r}", "choose another data.split"
        )
    return found


def _spacing(volume: StoredVolume) -> tuple[float, float, float]:
    return slice_spacing(volume.shape, volume.spacing)
