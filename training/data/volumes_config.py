"""What the data source `volumes` is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medfm_core.card_inputs import InputSpec
from medfm_core.card_library import load_card
from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.data.crop_augmentation import AUGMENTATIONS
from training.data.preparation import AUTO


@dataclass(frozen=True)
class VolumesConfig:
    """What is drawn from a store.

    Attributes:
        manifest: table of volumes; "" takes the one that shards carry.
        store: folder that `training.prepare` filled, or folder or URL of shards.
        card: model card for which the volumes were prepared: its `input` says how crops become channels.
        input: such an `input` entry itself, instead of a card.
        preparation: name of the preparation, as given to `training.prepare`.
        split: which volumes; "all" for all.
        split_seed: of the splits, where the manifest has none.
        train: share of the subjects in the split of that name, where the manifest has none.
        val: the same; the rest is `test`.
        crop: `(D, H, W)` in voxels; smaller volumes are padded around.
        crops_per_volume: items per volume; an epoch draws so many crops of each.
        place: "random" crops, or always the "centre".
        foreground_share: share of the random crops that contain a voxel of the foreground, with `labels` of a
            label, each as likely as the others.
        augment: a name of `crop_augmentation.AUGMENTATIONS`.
        labels: give label maps too.
        targets: names of target columns to give; None for all.
        skip_failed: leave out rows that could not be prepared, instead of refusing to begin.
        cache: folder for shards from elsewhere.
        cache_gb: what it may hold.
        shards_together: shards whose volumes are mixed in the order of a run.
        shards_ahead: shards from elsewhere that are fetched before they are needed; 0 for none.
    """

    manifest: str
    store: str
    card: str | None = None
    input: InputSpec | None = None
    preparation: str = AUTO
    split: Literal["train", "val", "test", "all"] = "train"
    split_seed: int = 0
    train: float = 0.8
    val: float = 0.1
    crop: tuple[int, int, int] = (96, 96, 96)
    crops_per_volume: int = 1
    place: Literal["random", "centre"] = "random"
    foreground_share: float = 0.0
    augment: str = "none"
    labels: bool = False
    targets: tuple[str, ...] | None = None
    skip_failed: bool = False
    cache: str | None = None
    cache_gb: float = 50.0
    shards_together: int = 4
    shards_ahead: int = 2

    def __post_init__(self) -> None:
        """Check what types cannot."""
        if (self.card is None) == (self.input is None):
            raise InputError("data.card and data.input: exactly one is needed", "give the card of the preparation")
        if min(self.crop) < 1 or self.crops_per_volume < 1 or self.shards_together < 1:
            raise InputError("data.crop, crops_per_volume and shards_together must be positive", "give at least 1")
        if self.shards_ahead < 0:
            raise InputError(f"data.shards_ahead is {self.shards_ahead}", "give 0 (none) or more")
        if not 0 <= self.foreground_share <= 1:
            raise InputError(f"data.foreground_share is {self.foreground_share}", "give a share from 0 to 1")
        if self.augment not in AUGMENTATIONS:
            raise InputError(f"data.augment: {unknown_name('augmentation', self.augment, AUGMENTATIONS)}")

    @property
    def spec(self) -> InputSpec:
        """The `input` entry.

        Raises:
            InputError, WeightsError: the card is not there or not usable.
        """
        return load_card(self.card).input if self.input is None else self.input
