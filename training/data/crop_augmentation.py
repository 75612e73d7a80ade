"""Augmentation of crops, by name; every draw comes from the generator given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medfm_core.anatomy import load_vocabulary
from training.data.stored_volume import StoredVolume

_SIDE = re.compile("left|right", re.IGNORECASE)
_CT_UNIT_HU = 20.0


@dataclass(frozen=True)
class Crop:
    """A crop on its way to the network.

    Attributes:
        image: `(D, H, W)` float32, in the image's units.
        labels: `(D, H, W)` int16, None without labels.
        volume: where it comes from.
    """

    image: np.ndarray
    labels: np.ndarray | None
    volume: StoredVolume


Step = Callable[[Crop, np.random.Generator], Crop]


def mirror(crop: Crop, rng: np.random.Generator) -> Crop:
    """Swap left and right in every other crop; labels of one side become those of the other."""
    if rng.random() < 0.5:
        return crop
    axis = next(axis for axis, code in enumerate(crop.volume.affine.codes) if code in "LR")
    labels = crop.labels
    if labels is not None:
        labels = swap_sides(np.flip(labels, axis), crop.volume.label_names)
    return Crop(np.flip(crop.image, axis), labels, crop.volume)


def flips(crop: Crop, rng: np.random.Generator) -> Crop:
    """Mirror as above, and reverse each of the other two axes in every other crop."""
    crop = mirror(crop, rng)
    side = next(axis for axis, code in enumerate(crop.volume.affine.codes) if code in "LR")
    axes = tuple(axis for axis in range(3) if axis != side and rng.random() < 0.5)
    labels = None if crop.labels is None else np.flip(crop.labels, axes)
    return Crop(np.flip(crop.image, axes), labels, crop.volume)


def intensity(crop: Crop, rng: np.random.Generator) -> Crop:
    """Shift and scale the values a little; every other crop gets noise too.

    The unit is 20 HU for CT, else a tenth of the foreground's standard deviation.
    """
    facts = crop.volume.facts
    unit = _CT_UNIT_HU
    if crop.volume.modality != "CT":
        unit = 0.1 * facts["statistics"]["foreground"].get("std", facts["statistics"]["std"])
    gain, shift, noise = rng.uniform(0.95, 1.05), rng.normal(0, unit), rng.uniform(0, unit) * (rng.random() < 0.5)
    image = crop.image * np.float32(gain)
    image += np.float32(shift)
    if noise:
        image += rng.standard_normal(image.shape, np.float32) * np.float32(noise)
    return Crop(image, crop.labels, crop.volume)


AUGMENTATIONS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "mirror": (mirror,),
    "flip": (flips,),
    "intensity": (intensity,),
    "mirror_intensity": (mirror, intensity),
    "flip_intensity": (flips, intensity),
}


def swap_sides(labels: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """Give each label of one side the value of its partner on the other.

    Args:
        labels: whole numbers from 0.
        names: name of each value; empty for the vocabulary's own numbers. A value whose partner has no name stays.
    """
    names = names or load_vocabulary().names()
    values = {name.lower(): value for value, name in names.items()}
    table = np.arange(max(max(names), int(labels.max(initial=0))) + 1).astype(labels.dtype)
    for value, name in names.items():
        other = _SIDE.sub(lambda side: "right" if side[0].lower() == "left" else "left", name.lower())
        table[value] = values.get(other, value)
    return table[labels]
