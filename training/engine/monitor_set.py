"""The fixed samples on which a run's representation is watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.engine.order import Source

_FAR = 2**40  # positions that no run reaches
_CHUNK = 8


class MonitorSet:
    """Samples drawn once, with what a probe shall read from them.

    A source with `monitor_samples(count, seed)` chooses them itself, each with `subject` and `target.NAME` entries
    where it knows them; of any other source the first items are drawn.

    Args:
        source: the run's data source.
        objective: encodes the samples; watched if it can.
        count: how many samples.
        seed: the run's seed.
    """

    def __init__(self, source: Source, objective: Objective, count: int, seed: int) -> None:
        self._objective = objective
        can = type(objective).encode is not Objective.encode
        self._samples: list[Sample] = []
        if can and hasattr(source, "monitor_samples"):
            self._samples = source.monitor_samples(count, seed)
        elif can:
            numbers = range(min(count, len(source)))
            self._samples = [source.sample(i, DrawKey(seed, _FAR + i)) for i in numbers]
        keys = [DrawKey(seed, _FAR + i) for i in range(len(self._samples))]
        self._samples = [objective.prepare_sample(s, key) for s, key in zip(self._samples, keys, strict=True)]

    def __len__(self) -> int:
        """How many samples are watched; 0 when the objective has no representation."""
        return len(self._samples)

    @torch.no_grad()
    def look(self, device: torch.device) -> tuple[Tensor, dict[str, Sequence[Any]], Sequence[Any]]:
        """Encode the samples: features `(N, F)`, targets by name, and whom each sample is of."""
        objective, was_training = self._objective, self._objective.training
        objective.eval()
        features = []
        for start in range(0, len(self._samples), _CHUNK):
            part = [_tensors(sample) for sample in self._samples[start : start + _CHUNK]]
            batch = {name: value.to(device) for name, value in default_collate(part).items()}
            features.append(objective.encode(batch).float().cpu())
        objective.train(was_training)
        return torch.cat(features), self._targets(), self._subjects()

    @torch.no_grad()
    def figures(self, device: torch.device) -> dict[str, float]:
        """What the objective says of the samples, all at once; see `Objective.watch`."""
        objective, was_training = self._objective, self._objective.training
        if type(objective).watch is Objective.watch:
            return {}
        objective.eval()
        batch = default_collate([_tensors(sample) for sample in self._samples])
        found = objective.watch({name: value.to(device) for name, value in batch.items()})
        objective.train(was_training)
        return {name: float(value) for name, value in found.items()}

    def _targets(self) -> dict[str, Sequence[Any]]:
        names = sorted({n for sample in self._samples for n in sample if n.startswith("target.")})
        return {name.removeprefix("target."): [_plain(s.get(name)) for s in self._samples] for name in names}

    def _subjects(self) -> Sequence[Any]:
        return [sample.get("subject", number) for number, sample in enumerate(self._samples)]


def _tensors(sample: Sample) -> dict[str, Tensor]:
    return {name: value for name, value in sample.items() if isinstance(value, Tensor) and "target." not in name}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value
