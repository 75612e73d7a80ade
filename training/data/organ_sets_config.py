"""What the data source `organ_sets` is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import ARCHITECTURE, PanFMConfig
from medfm_core.models.pan_fm_organs import OrganSpec
from medfm_core.models.sizes import size_config


@dataclass(frozen=True)
class OrganSetsConfig:
    """Which studies, and how their organs come.

    Attributes:
        manifest: table of studies, one row each.
        architecture: size of Pan-FM whose organs are read, such as "tiny"; "" where `organs` says it.
        organs: the organs themselves, as `model.organs`.
        split: which studies; "all" for all.
        split_seed: of the splits, where the manifest has none.
        targets: names of target columns to give to monitors; None for all.
        standardise_vectors: bring vectors to a mean of 0 at each place and a deviation of 1 over all numbers of an
            organ, on the training split; what tells two patients apart is small beside what they share.
    """

    manifest: str
    architecture: str = ""
    organs: tuple[OrganSpec, ...] = ()
    split: Literal["train", "val", "test", "all"] = "train"
    split_seed: int = 0
    targets: tuple[str, ...] | None = None
    standardise_vectors: bool = False

    def __post_init__(self) -> None:
        """Check what types cannot."""
        if bool(self.architecture) == bool(self.organs):
            raise InputError(
                "data.architecture and data.organs: exactly one is needed", "name the size of the model that is trained"
            )

    @property
    def specs(self) -> tuple[OrganSpec, ...]:
        """The organs.

        Raises:
            InputError: there is no architecture of that size.
        """
        return self.organs or size_config(ARCHITECTURE, self.architecture, PanFMConfig).organs
