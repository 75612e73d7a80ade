"""The data source `volumes`: random crops of the volumes of a store."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.preprocessing import to_channels
from medfm_core.strict import to_dict, unknown_name
from training.data.crop_augmentation import AUGMENTATIONS, Crop
from training.data.crops import centre_start, draw_start, foreground_points, resolved
from training.data.manifest import ManifestRow, TargetColumn
from training.data.preparation import PreparationPlan
from training.data.shard_store import ShardOrder, ShardStore
from training.data.splits import Fractions
from training.data.stored_volume import StoredVolume
from training.data.volume_list import WhereStored, find_rows
from training.data.volumes_config import VolumesConfig
from training.engine.draw import DrawKey

__all__ = ["Volumes", "VolumesConfig"]

_MOST_OPEN = 128
_MEANS = ("cache", "cache_gb", "shards_ahead")  # how samples come here, not what they are
_MONITOR_FROM = 2**41  # positions that neither a run nor its monitor reaches


class Volumes:
    """Crops of stored volumes; item i is crop i % crops_per_volume of volume i // crops_per_volume.

    Args:
        config: what is drawn.

    Attributes:
        rows: the manifest row of each item.
        targets: the target columns that samples have, by name.
        item_at: only for shards: the item of a position, so that few shards are needed at a time.

    Raises:
        InputError: the manifest is not sound, rows are not prepared, a target is not there, or labels are missing.
        WeightsError: the card cannot be used.
        ResourceError: shards cannot be reached.
    """

    def __init__(self, config: VolumesConfig) -> None:
        self.config, self._spec = config, config.spec
        share = Fractions(config.train, config.val, round(1 - config.train - config.val, 9))
        where = WhereStored(
            config.manifest, config.store, config.cache, config.cache_gb, config.split_seed, share, config.skip_failed
        )
        self._found = find_rows(where, PreparationPlan(self._spec, config.preparation))
        self._rows, self._keys = self._found.of_split(config.split)
        if not self._rows:
            raise InputError(f"no volume of the manifest is in the split {config.split!r}", "choose another data.split")
        self.targets = _chosen(self._found.targets, config.targets)
        if config.labels:
            _check_labels(self._rows)
        if isinstance(self._found.store, ShardStore) and config.split != "all":
            counts = self._found.store.counts(config.split)
            if sum(counts) == len(self._rows):
                self._order = ShardOrder(tuple(n * config.crops_per_volume for n in counts), config.shards_together)
                self._shards = self._found.store.numbers(config.split)
                self._ahead: tuple[int, ...] = ()
                self.item_at = self._item_of_shards
        self._open: OrderedDict[str, StoredVolume] = OrderedDict()

    def __len__(self) -> int:
        """Items: volumes times crops per volume."""
        return len(self._rows) * self.config.crops_per_volume

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The manifest row of each item."""
        return tuple(row for row in self._rows for _ in range(self.config.crops_per_volume))

    @property
    def digest(self) -> str:
        """Changes when the samples do."""
        config = {name: value for name, value in to_dict(self.config, defaults=True).items() if name not in _MEANS}
        text = json.dumps([config, to_dict(self._spec, defaults=True), self._keys], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def volume(self, item: int) -> StoredVolume:
        """The stored volume of an item."""
        return self._volume(self._keys[item // self.config.crops_per_volume])

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw one crop; a pure function of the two.

        Args:
            item: which volume.
            key: where in the run; all draws come from it.

        Returns:
            `image` `(C, D, H, W)` float32; `labels` `(D, H, W)` int16 if configured; `spacing_mm` `(3,)` float32;
            `foreground` `(D, H, W)` bool with the augmentations of brains, as it was before values changed;
            `target.<name>` float32 for numbers (NaN: missing) and int64 for categories (-1: missing).
        """
        volume, row = self.volume(item), self._rows[item // self.config.crops_per_volume]
        sample = self._draw(volume, self._start(volume, key), key)
        for name, column in self.targets.items():
            kind = torch.int64 if column.categories else torch.float32
            sample[f"target.{name}"] = torch.tensor(column.encode(row.targets[name]), dtype=kind)
        return sample

    def monitor_samples(self, count: int, seed: int) -> list[dict[str, Any]]:
        """Fixed crops of the validation split (of this source's own split if there is none), without augmentation.

        Args:
            count: how many; first the centre of each volume, then random places.
            seed: of the random places.

        Returns:
            `image`, `spacing_mm`, `subject`, and `target.<name>` as in the manifest: numbers, texts, None if missing.
        """
        rows, keys = self._found.of_split("val")
        if not rows:
            rows, keys = self._rows, self._keys
        samples: list[dict[str, Any]] = []
        for number in range(count):
            row, volume = rows[number % len(rows)], self._volume(keys[number % len(rows)])
            key = DrawKey(seed, _MONITOR_FROM + number)
            start = centre_start(volume.shape, self.config.crop)
            if number >= len(rows):
                start = self._random_start(volume, key)
            sample: dict[str, Any] = self._draw(volume, start, None)
            sample.pop("labels", None)
            sample["subject"] = row.subject
            samples.append(sample | {f"target.{name}": row.targets[name] for name in self.targets})
        return samples

    def monitor_batch(self, count: int, seed: int = 0) -> dict[str, Any]:
        """The same as a batch: stacked tensors, and lists of subjects and targets."""
        samples = self.monitor_samples(count, seed)
        batch = {name: [sample[name] for sample in samples] for name in samples[0]}
        return {name: torch.stack(v) if isinstance(v[0], Tensor) else v for name, v in batch.items()}

    def _item_of_shards(self, key: DrawKey) -> int:
        """The item of a position, so that few shards are needed at a time; the next ones are fetched meanwhile."""
        if self.config.shards_ahead and self._found.store.is_remote:
            wanted = self._order.shards_from(key, self.config.shards_ahead)
            if wanted != self._ahead:
                self._ahead = wanted
                self._found.store.prefetch([self._shards[number] for number in wanted])
        return self._order.item_at(key)

    def _draw(self, volume: StoredVolume, start: Sequence[int], key: DrawKey | None) -> dict[str, Tensor]:
        """Read a crop and make tensors of it; without a key it is not augmented."""
        size = self.config.crop
        labels = volume.labels_crop(start, size).astype(np.int16) if self.config.labels else None
        crop = Crop(volume.crop(start, size), labels, volume)
        if key is not None:
            rng = key.rng("augment")
            for step in AUGMENTATIONS[self.config.augment]:
                crop = step(crop, rng)
        image = torch.from_numpy(np.ascontiguousarray(crop.image))
        sample = {"image": to_channels(image, resolved(self._spec.intensity_of(volume.modality), volume))}
        sample["spacing_mm"] = torch.tensor(volume.spacing, dtype=torch.float32)
        if crop.foreground is not None:
            sample["foreground"] = torch.from_numpy(np.ascontiguousarray(crop.foreground))
        if crop.labels is not None:
            sample["labels"] = torch.from_numpy(np.ascontiguousarray(crop.labels))
        return sample

    def _start(self, volume: StoredVolume, key: DrawKey) -> tuple[int, ...]:
        return (
            centre_start(volume.shape, self.config.crop)
            if self.config.place == "centre"
            else self._random_start(volume, key)
        )

    def _random_start(self, volume: StoredVolume, key: DrawKey) -> tuple[int, ...]:
        rng = key.rng("crop")
        points = None
        if rng.random() < self.config.foreground_share:
            points = foreground_points(volume, self._sought(volume), rng)
        return draw_start(volume.shape, self.config.crop, rng, points)

    def _sought(self, volume: StoredVolume) -> list[int]:
        """Values of the label map around which crops of the foreground are drawn, ascending."""
        return sorted(map(int, volume.facts["points"]["labels"])) if self.config.labels else []

    def _volume(self, key: str) -> StoredVolume:
        """Open, or take from those opened last."""
        if key not in self._open:
            self._open[key] = self._found.store.open(key)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _chosen(columns: dict[str, TargetColumn], names: tuple[str, ...] | None) -> dict[str, TargetColumn]:
    for name in names or ():
        if name not in columns:
            raise InputError(f"data.targets: {unknown_name('target', name, columns)}")
    return columns if names is None else {name: columns[name] for name in names}


def _check_labels(rows: Sequence[ManifestRow]) -> None:
    without = [row.number for row in rows if row.labels is None]
    if without:
        raise InputError(
            f"data.labels is set, but {len(without)} rows have no label map (the first is row {without[0]})",
            "take them out of the manifest, or leave data.labels off",
        )
