"""Changes of an organ crop that leave what a radiologist would say of it as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfm_core.organ_boxes import OrganBox

_BLUR = (0.25, 0.5, 0.25)


@dataclass(frozen=True)
class OrganAugmentation:
    """How far the changes go; all zero changes nothing.

    Attributes:
        shift: largest shift of each face of the box, share of its length.
        hu_shift: standard deviation of a common shift, HU.
        hu_scale: standard deviation of a common factor around 1, about 0 HU.
        noise_hu: largest standard deviation of added noise, HU.
        blur: how often the picture is blurred.
        mask_slip: how often the outline is moved by a voxel, as a segmenter would err.
    """

    shift: float = 0.06
    hu_shift: float = 8.0
    hu_scale: float = 0.03
    noise_hu: float = 20.0
    blur: float = 0.2
    mask_slip: float = 0.5

    def box(self, box: OrganBox, shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """Move the faces of a box, within the image.

        Args:
            box: what is cut out.
            shape: voxels of the image, in the axes of the box.
            rng: source.

        Returns:
            First voxel along each axis, and the one after the last.
        """
        start, stop = [], []
        for low, high, length in zip(box.start, box.stop, shape, strict=True):
            reach = self.shift * (high - low)
            first, last = low + rng.uniform(-reach, reach), high + rng.uniform(-reach, reach)
            first = int(np.clip(round(first), 0, length - 2))
            start.append(first)
            stop.append(int(np.clip(round(last), first + 2, length)))
        return start, stop

    def hu(self, hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change the HU of a crop `(D, H, W)` float32."""
        if rng.random() < self.blur:
            hu = _blurred(hu)
        factor, shift = rng.normal(1.0, self.hu_scale), rng.normal(0.0, self.hu_shift)
        noise = np.float32(rng.uniform(0, self.noise_hu))
        changed = hu * np.float32(factor) + np.float32(shift)
        if noise > 1:
            changed += noise * rng.standard_normal(hu.shape, dtype=np.float32)
        return np.maximum(changed, np.float32(-1024.0), out=changed)

    def mask(self, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Grow, shrink or shift an outline `(D, H, W)` bool by a voxel."""
        if rng.random() >= self.mask_slip:
            return mask
        axis, step = int(rng.integers(3)), int(rng.choice((-1, 1)))
        moved = np.roll(mask, step, axis)
        edge = [slice(None)] * 3
        edge[axis] = 0 if step > 0 else -1
        moved[tuple(edge)] = mask[tuple(edge)]
        way = rng.integers(3)
        return moved if way == 0 else (mask | moved) if way == 1 else (mask & moved)


NO_AUGMENTATION = OrganAugmentation(0, 0, 0, 0, 0, 0)


def _blurred(hu: np.ndarray) -> np.ndarray:
    """Smooth within the slices."""
    for axis in (1, 2):
        padded = np.concatenate([np.take(hu, [0], axis), hu, np.take(hu, [-1], axis)], axis)
        length = hu.shape[axis]
        hu = sum(np.float32(w) * np.take(padded, range(i, i + length), axis) for i, w in enumerate(_BLUR))
    return hu
