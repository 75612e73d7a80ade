"""Whole scans at the size of an organ volume, for runs that ask what cutting out organs is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.brightest import brightest
from medfm_core.card_inputs import InputSpec
from medfm_core.organ_volumes import densities_of, size_of
from medfm_core.preprocessing import to_channels
from training.data.organ_augmentation import OrganAugmentation
from training.data.stored_volume import StoredVolume


class WholeScans:
    """The same picture for every organ of a scan; what a scan is shrunken to is kept in memory.

    Args:
        volumes: the scans, on the grid on which organs are cut out.
        spec: the card's `input` entry.

    Shapes:
        A scan keeps three int16 volumes of `spec.size`: the mean, brightest and darkest HU of each voxel's share.
    """

    def __init__(self, volumes: Sequence[StoredVolume], spec: InputSpec) -> None:
        self._volumes, self._spec = volumes, spec
        self._kept: dict[int, np.ndarray] = {}

    def picture(self, number: int, change: OrganAugmentation, rng: np.random.Generator) -> dict[str, Tensor]:
        """One scan as the encoder takes organs: `image` `(C, *size)` and `size` `(4 + Q,)`.

        The HU are changed after shrinking, all three alike.
        """
        means, most, least = self._changed(number, change, rng)
        outline = np.ones(self._spec.size, bool)
        shown = [means, most, least] if self._spec.organs.extremes else [means]
        channels = [to_channels(torch.from_numpy(hu), self._spec.intensity) for hu in shown]
        if self._spec.organs.mask:
            channels.append(torch.from_numpy(outline)[None].float())
        volume = self._volumes[number]
        millimetres = [n * step / m for n, step, m in zip(volume.shape, volume.spacing, outline.shape, strict=True)]
        told = torch.cat([size_of(outline, millimetres), densities_of(means, outline, self._spec)])
        return {"image": torch.cat(channels), "size": told}

    def _changed(self, number: int, change: OrganAugmentation, rng: np.random.Generator) -> np.ndarray:
        """Mean, brightest and darkest HU, `(3, *size)` float32."""
        hu = self._shrunken(number).astype(np.float32)
        return change.hu(hu.reshape(-1, *hu.shape[2:]), rng).reshape(hu.shape)

    def _shrunken(self, number: int) -> np.ndarray:
        if number not in self._kept:
            volume = self._volumes[number]
            hu = torch.from_numpy(np.ascontiguousarray(volume.crop((0, 0, 0), volume.shape)))
            size = self._spec.size
            means = functional.adaptive_avg_pool3d(hu[None], size)[0]
            kept = torch.stack([means, brightest(hu, size), -brightest(-hu, size)])
            self._kept[number] = kept.round().to(torch.int16).numpy()
        return self._kept[number]
