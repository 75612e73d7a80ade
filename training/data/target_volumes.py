"""Volumes with what is to be told of each, for supervised training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.data.volumes import Volumes
from training.data.volumes_config import VolumesConfig
from training.engine.draw import DrawKey
from training.evaluation.targets import cohort_of


@dataclass(frozen=True)
class TargetVolumesConfig(VolumesConfig):
    """What is drawn from a store, and what is to be told of it.

    Attributes:
        told: names or patterns of the manifest's target columns; several are labels.
        task: `classification`, `multi_label` or `regression`; None lets the columns decide.
    """

    told: tuple[str, ...] = ()
    task: str | None = None


class TargetVolumes(Volumes):
    """`Volumes` whose samples have a `target`, numbered alike in every split.

    Args:
        config: what is drawn.

    Raises:
        InputError: a target column is not there or cannot be read as the task.
    """

    def __init__(self, config: TargetVolumesConfig) -> None:
        super().__init__(replace(config, targets=()))
        everyone = Volumes(replace(config, split="all", crops_per_volume=1, targets=None))
        self.cohort = cohort_of(everyone.rows, everyone.targets, config.told, config.task)
        place = {row.path: number for number, row in enumerate(everyone.rows)}
        numbers = [place[row.path] for row in self.rows]
        known = self.cohort.targets.known
        self._numbers = numbers
        self._known = [item for item, number in enumerate(numbers) if known[number]]

    def __len__(self) -> int:
        """Items of which something is known."""
        return len(self._known)

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        """Draw one crop with its `target`: a class number, labels `(L,)` or a quantity; -1 or NaN for unknown."""
        whole = self._known[item]
        sample = super().sample(whole, key)
        value = torch.as_tensor(self.cohort.targets.values[self._numbers[whole]])
        sample["target"] = value.float() if value.is_floating_point() else value.long()
        return sample
