"""Augmentation of crops, by name; every draw comes from the generator given.

`brain` is that of Neuro-JEPA's pre-training, mirrored from side to side alone; `brain_flips` reverses all three axes,
as published, which gives up what is left and what is up. Both note first where there is tissue.

Source: Neuro-JEPA spec, sections 1.3 and 14.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product

import numpy as np
import torch

from medfm_core.anatomy import load_vocabulary
from training.data.crops import is_scaled
from training.data.stored_volume import StoredVolume
from training.data.volume_statistics import quantile
from training.masking.foreground import foreground_voxels

_SIDE = re.compile("left|right", re.IGNORECASE)
_CT_UNIT_HU = 20.0
_MOST_BIAS = 0.1  # of each coefficient


@dataclass(frozen=True)
class Crop:
    """A crop on its way to the network.

    Attributes:
        image: `(D, H, W)` float32, in the image's units.
        labels: `(D, H, W)` int16, None without labels.
        volume: where it comes from.
        foreground: `(D, H, W)` bool, where there is tissue; None if nobody asked before the values changed.
    """

    image: np.ndarray
    labels: np.ndarray | None
    volume: StoredVolume
    foreground: np.ndarray | None = None

    def flipped(self, axes: int | tuple[int, ...], labels: np.ndarray | None) -> Crop:
        """Reverse axes of image and foreground; the labels are given, they may also change their names."""
        tissue = None if self.foreground is None else np.flip(self.foreground, axes)
        return replace(self, image=np.flip(self.image, axes), labels=labels, foreground=tissue)


Step = Callable[[Crop, np.random.Generator], Crop]


def mirror(crop: Crop, rng: np.random.Generator) -> Crop:
    """Swap left and right in every other crop; labels of one side become those of the other."""
    if rng.random() < 0.5:
        return crop
    axis = next(axis for axis, code in enumerate(crop.volume.affine.codes) if code in "LR")
    labels = crop.labels
    if labels is not None:
        labels = swap_sides(np.flip(labels, axis), crop.volume.label_names)
    return crop.flipped(axis, labels)


def flips(crop: Crop, rng: np.random.Generator) -> Crop:
    """Mirror as above, and reverse each of the other two axes in every other crop."""
    crop = mirror(crop, rng)
    side = next(axis for axis, code in enumerate(crop.volume.affine.codes) if code in "LR")
    axes = tuple(axis for axis in range(3) if axis != side and rng.random() < 0.5)
    labels = None if crop.labels is None else np.flip(crop.labels, axes)
    return crop.flipped(axes, labels)


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
    return replace(crop, image=image)


def tissue(crop: Crop, rng: np.random.Generator) -> Crop:
    """Note where there is tissue, before values change: after noise nearly everything would count."""
    voxels = foreground_voxels(torch.from_numpy(np.ascontiguousarray(crop.image))[None])
    return replace(crop, foreground=voxels.numpy())


def bias_field(crop: Crop, rng: np.random.Generator) -> Crop:
    """Multiply every other crop by the exponential of a random polynomial of degree 3, as an uneven coil does."""
    if rng.random() < 0.5:
        return crop
    lines = [np.linspace(-1, 1, count, dtype=np.float32) for count in crop.image.shape]
    field = np.zeros(crop.image.shape, np.float32)
    for i, j, k in product(range(4), repeat=3):
        if i + j + k <= 3:
            weight = np.float32(rng.uniform(0, _MOST_BIAS))
            powers = zip(lines, (i, j, k), strict=True)
            field += weight * reduce(np.multiply, np.ix_(*(line**power for line, power in powers)))
    return replace(crop, image=crop.image * np.exp(field))


def gamma(crop: Crop, rng: np.random.Generator) -> Crop:
    """Bend the contrast of every other crop by a power from 0.6 to 1.5 between its lowest and highest value."""
    if rng.random() < 0.5:
        return crop
    low, high = float(crop.image.min()), float(crop.image.max())
    if not high > low:
        return crop
    bent = ((crop.image - np.float32(low)) / np.float32(high - low)) ** np.float32(rng.uniform(0.6, 1.5))
    return replace(crop, image=bent * np.float32(high - low) + np.float32(low))


def noise(crop: Crop, rng: np.random.Generator) -> Crop:
    """Add noise to every other crop, of a deviation up to a tenth of the range of values."""
    if rng.random() < 0.5:
        return crop
    deviation = np.float32(rng.uniform(0, 0.1) * _range(crop))
    return replace(crop, image=crop.image + deviation * rng.standard_normal(crop.image.shape, np.float32))


def offset(crop: Crop, rng: np.random.Generator) -> Crop:
    """Shift all values of every other crop by up to a tenth of their range."""
    if rng.random() < 0.5:
        return crop
    return replace(crop, image=crop.image + np.float32(rng.uniform(-0.1, 0.1) * _range(crop)))


def _range(crop: Crop) -> float:
    """From the 0.5th to the 99.5th percentile of the whole volume; 1 for values that are scaled already."""
    if is_scaled(crop.volume):
        return 1.0
    statistics = crop.volume.facts["statistics"]
    return quantile(statistics, 99.5) - quantile(statistics, 0.5)


AUGMENTATIONS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "mirror": (mirror,),
    "flip": (flips,),
    "intensity": (intensity,),
    "mirror_intensity": (mirror, intensity),
    "flip_intensity": (flips, intensity),
    "brain": (tissue, mirror, bias_field, gamma, noise, offset),
    "brain_flips": (tissue, flips, bias_field, gamma, noise, offset),
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
