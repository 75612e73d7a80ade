"""What the data source `spacing_buckets` is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.crop_augmentation import AUGMENTATIONS
from training.data.slice_thickness import Thickening


@dataclass(frozen=True)
class SliceCohort:
    """Volumes of one manifest.

    Attributes:
        manifest: table of volumes; "" takes the one that shards carry.
        store: folder that `training.prepare` filled with the preparation `slices`, or folder of shards. It must be on
            this machine: the spacing of every volume is looked at first.
        weight: how often these volumes are drawn, next to the weights of the other cohorts.
    """

    manifest: str
    store: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight {self.weight} must be positive")
        if "://" in self.store:
            raise ValueError(f"store {self.store} must be a folder on this machine; copy the shards here")


@dataclass(frozen=True)
class SpacingBucketsConfig:
    """What is drawn: crops of as many tokens whatever the spacing, every batch of one degree of anisotropy.

    Attributes:
        cohorts: what is drawn from.
        input: `input` entry of a card, as in training/inputs/spad.yaml, for which the volumes were prepared.
        preparation: name of the preparation, as given to `training.prepare`.
        split: which volumes; "all" for all.
        split_seed: of the splits, where a manifest has none.
        train: share of the subjects in the split of that name, where a manifest has none.
        val: the same; the rest is `test`.
        patch: pixels of a token, those of the network.
        tokens: tokens of a crop along D, H, W; a 2D image has one along D.
        thickening: how slices are taken together.
        foreground_share: share of the crops that contain a voxel of the foreground.
        augment: a name of `crop_augmentation.AUGMENTATIONS`.
        items_per_volume: how often a volume counts in the length of the source; an epoch has no other meaning here.
        skip_failed: leave out rows that could not be prepared, instead of refusing to begin.
    """

    cohorts: tuple[SliceCohort, ...]
    input: InputSpec
    preparation: str = "slices"
    split: Literal["train", "val", "test", "all"] = "train"
    split_seed: int = 0
    train: float = 0.8
    val: float = 0.1
    patch: int = 16
    tokens: tuple[int, int, int] = (4, 8, 8)
    thickening: Thickening = field(default_factory=Thickening)
    foreground_share: float = 0.0
    augment: str = "none"
    items_per_volume: int = 1
    skip_failed: bool = False

    def __post_init__(self) -> None:
        """Check what types cannot."""
        if not self.cohorts:
            raise InputError("data.cohorts is empty", "give at least one manifest and its store")
        if min(self.tokens) < 1 or self.items_per_volume < 1:
            raise InputError("data.tokens and items_per_volume must be positive", "give at least 1")
        if self.patch < 1 or self.patch & (self.patch - 1):
            raise InputError(f"data.patch is {self.patch}", "give a power of two, that of the network")
        if not 0 <= self.foreground_share <= 1:
            raise InputError(f"data.foreground_share is {self.foreground_share}", "give a share from 0 to 1")
        if self.augment not in AUGMENTATIONS:
            raise InputError(f"data.augment: {unknown_name('augmentation', self.augment, AUGMENTATIONS)}")
