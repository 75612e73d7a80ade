"""The data source `label_volumes`: crops with their label maps as classes, for training a segmentation."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.labelled_case import IGNORE
from training.data.stored_volume import StoredVolume
from training.data.volumes import Volumes
from training.data.volumes_config import VolumesConfig
from training.engine.draw import DrawKey

MOST_CLASSES = IGNORE - 1


@dataclass(frozen=True)
class LabelVolumesConfig(VolumesConfig):
    """What is drawn from a store, and which structures are to be told apart.

    Attributes:
        classes: names of the structures, or patterns such as `kidney_*`; empty for all that the training volumes show.
            Class 0 is the background, class n the n-th of them. `foreground_share` is that of crops with one of them.
    """

    classes: tuple[str, ...] = ()


class LabelVolumes(Volumes):
    """`Volumes` that have a label map, whose samples have it as a `target` of class numbers.

    Values get their class by their names, so that maps with other numbers can be mixed. Where a map's own list of names
    lacks one of the classes, that structure was not looked for: what is not labelled there is of unknown truth.

    Args:
        config: what is drawn; `labels` need not be set.

    Attributes:
        names: of the classes, without the background.

    Raises:
        InputError: no volume has a label map, no structure has such a name, or there are too many.
    """

    def __init__(self, config: LabelVolumesConfig) -> None:
        super().__init__(replace(config, labels=False, targets=()))
        labelled = [place for place, row in enumerate(self._rows) if row.labels is not None]
        if not labelled:
            raise InputError(
                f"no volume of the split {config.split!r} has a label map", "add a column labels to the manifest"
            )
        if len(labelled) < len(self._rows):
            self._rows = tuple(self._rows[place] for place in labelled)
            self._keys = tuple(self._keys[place] for place in labelled)
            self.__dict__.pop("item_at", None)  # the shards' order counts the others too
        self.config = replace(config, labels=True, targets=())
        self.names = self._class_names(config.classes)

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw one crop with its `target`, `(D, H, W)` int64: class numbers, 255 where the truth is not known."""
        sample = super().sample(item, key)
        labels = sample.pop("labels").numpy()
        sample["target"] = torch.from_numpy(self.classes(self.volume(item), labels).astype(np.int64))
        return sample

    def classes(self, volume: StoredVolume, labels: np.ndarray | None = None) -> np.ndarray:
        """Class numbers of a volume's label map, uint8, 255 where the truth is not known.

        Args:
            volume: whose map it is.
            labels: a part of it; all of it by default.
        """
        labels = volume.labels_crop((0, 0, 0), volume.shape) if labels is None else labels
        found = value_names(volume)
        table = np.zeros(max(int(labels.max(initial=0)), *found, 0) + 1, np.uint8)
        place = {name: number for number, name in enumerate(self.names, 1)}
        for value, name in found.items():
            table[value] = place.get(name, 0)
        named = volume.label_names
        if named and not set(self.names) <= set(named.values()):
            table[table == 0] = IGNORE
        return table[labels]

    def _sought(self, volume: StoredVolume) -> list[int]:
        """Values of the classes alone: a map may name a hundred other structures."""
        names = value_names(volume)
        return [value for value in super()._sought(volume) if names[value] in self.names]

    def _class_names(self, wanted: Sequence[str]) -> tuple[str, ...]:
        shown = self._shown()
        names: dict[str, None] = {} if wanted else dict.fromkeys(shown)
        for pattern in wanted:
            found = [name for name in shown if fnmatch.fnmatchcase(name, pattern)]
            if not found:
                raise InputError(
                    unknown_name("labelled structure", pattern, shown), "name structures of the label maps"
                )
            names.update(dict.fromkeys(found))
        return _checked(tuple(names))

    def _shown(self) -> list[str]:
        """Names of the structures that the label maps of the training volumes show, by value."""
        rows, keys = self._found.of_split("train")
        if not any(row.labels is not None for row in rows):
            rows, keys = self._found.of_split("all")
        shown: dict[str, int] = {}
        for row, key in zip(rows, keys, strict=True):
            if row.labels is None:
                continue
            volume = self._volume(key)
            names = value_names(volume)
            for value in volume.facts["statistics"].get("labels", {}):
                shown.setdefault(names[int(value)], int(value))
        return sorted(shown, key=lambda name: (shown[name], name))


def value_names(volume: StoredVolume) -> dict[int, str]:
    """Name of every value of a volume's label map; the vocabulary's where it has none of its own."""
    names = volume.label_names or load_vocabulary().names()
    shown = (int(value) for value in volume.facts["statistics"].get("labels", {}))
    return {**names, **{value: f"label {value}" for value in shown if value not in names}}


def _checked(names: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(names) <= MOST_CLASSES:
        raise InputError(f"{len(names)} structures cannot be told apart", f"name 1 to {MOST_CLASSES} of them")
    return names
