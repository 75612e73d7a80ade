"""The data source `medmnist`: small images with labels, out of one npz file as MedMNIST v2 has them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError
from medfm_core.layers.anisotropy import SINGLE_SLICE_DEGREE
from training.engine.draw import DrawKey

MULTI_LABEL = "multi_label"
Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class MedMnistConfig:
    """What is drawn.

    Attributes:
        file: npz file with `<split>_images` and `<split>_labels`.
        split: which part of it.
        side: pixels that images are enlarged to, along every axis that they have.
        fade: training images are multiplied by a number from 0 to 1, the others by a half, as published for Adrenal and
            Vessel, whose values mean nothing.

    Source: SPAD spec, section 8.1.
    """

    file: str
    split: Split = "train"
    side: int = 160
    fade: bool = False

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InputError(f"data.side is {self.side}", "give at least 1")


class MedMnist:
    """Images of one split in [0, 1], 2D with one slice, grey or in colour.

    Args:
        config: what is drawn.

    Attributes:
        images: `(N, H, W)`, `(N, H, W, 3)` or `(N, D, H, W)` uint8.
        labels: `(N, L)` whole numbers.

    Raises:
        InputError: the file is missing, damaged, or not one of MedMNIST's.
    """

    def __init__(self, config: MedMnistConfig) -> None:
        self.config = config
        self.images, self.labels = read_split(Path(config.file), config.split)

    def __len__(self) -> int:
        """Images of the split."""
        return len(self.images)

    @property
    def is_volume(self) -> bool:
        """Whether the images are 3D."""
        return self.images.ndim == 4 and self.images.shape[-1] != 3

    @property
    def is_multi_label(self) -> bool:
        """Whether an image has several labels, each 0 or 1."""
        return self.labels.shape[1] > 1

    @cached_property
    def digest(self) -> str:
        """Changes when the samples do."""
        found = hashlib.sha256(json.dumps([self.config.split, self.config.side, self.config.fade]).encode())
        for array in (self.images, self.labels):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """One image; a pure function of the two.

        Returns:
            `image` `(C, D, H, W)` float32 in [0, 1]; `degree`, 0 of cubes and 5 of 2D images; `target`, the class as
            int64, or `(L,)` float32.
        """
        pixels = torch.from_numpy(np.array(self.images[item])).float() / 255
        image = _enlarged(pixels, self.config.side, self.is_volume)
        if self.config.fade:
            image = image * (float(key.rng("fade").random()) if self.config.split == "train" else 0.5)
        label = torch.from_numpy(self.labels[item].astype(np.int64))
        degree = 0 if self.is_volume else SINGLE_SLICE_DEGREE
        target = label.float() if self.is_multi_label else label[0]
        return {"image": image, "degree": torch.tensor(degree), "target": target}


def read_split(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `(N, ...)` uint8 and labels `(N, L)` of a split.

    Raises:
        InputError: the file is missing, damaged, or not one of MedMNIST's.
    """
    fix = "give an npz file of MedMNIST v2"
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file[f"{split}_images"], file[f"{split}_labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"the images of {path} cannot be read ({error})", fix) from error
    labels = labels.reshape(len(labels), -1)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != len(labels) or not len(images):
        what = f"{split}_images of {path} are {images.dtype} {images.shape}, its labels {labels.shape}"
        raise InputError(what, fix)
    if labels.dtype.kind not in "iub" or labels.min() < 0:
        raise InputError(f"{split}_labels of {path} are no whole numbers from 0", fix)
    return images, labels


def _enlarged(pixels: Tensor, side: int, is_volume: bool) -> Tensor:
    """Cubes linearly, pictures cubically, to `(C, D, side, side)`."""
    if is_volume:
        return functional.interpolate(pixels[None, None], (side,) * 3, mode="trilinear", align_corners=False)[0]
    planes = pixels.movedim(-1, 0) if pixels.ndim == 3 else pixels[None]
    large = functional.interpolate(planes[None], (side, side), mode="bicubic", align_corners=False)[0]
    return large.clamp(0, 1)[:, None]
