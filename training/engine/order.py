"""Which sample stands at which position of a run, and the loader that brings the samples of one process.

Position p of a run is sample p % B of step p // B for a global batch of B. Process r of W takes the r-th share of each
batch, so that the batches of a run do not depend on how many processes or workers make them, nor on where it resumed.
"""

from __future__ import annotations

import signal
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from medfm_core.errors import InputError, MedFMError
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample


class Source(Protocol):
    """What feeds a run: numbered items, of which samples are drawn.

    A source may have a method `item_at(key: DrawKey) -> int` that chooses the item itself, e.g. by weights.
    """

    def __len__(self) -> int:
        """How many items there are."""

    def sample(self, item: int, key: DrawKey) -> Sample:
        """Draw one sample of an item; a pure function of the two."""


@dataclass(frozen=True)
class Place:
    """Which share of every batch this process takes.

    Attributes:
        batch_size: samples of a step over all processes.
        rank: number of this process.
        world_size: number of processes.
        accumulate: parts that the share is cut into.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be shared evenly."""
        if self.batch_size % (self.world_size * self.accumulate):
            raise InputError(
                f"run.batch_size is {self.batch_size}, which {self.world_size} processes with run.accumulate "
                f"{self.accumulate} cannot share evenly",
                "choose a batch size that their product divides",
            )

    def positions(self, step: int) -> list[list[int]]:
        """Positions of this process at a step, one list for each accumulated part."""
        share = self.batch_size // self.world_size
        first = step * self.batch_size + self.rank * share
        part = share // self.accumulate
        return [list(range(first + i * part, first + (i + 1) * part)) for i in range(self.accumulate)]


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, zlib.crc32(b"order"))).permutation(count)


def item_at(source: Source, key: DrawKey) -> int:
    """Item of a position: the source's choice, or a new permutation of all items in each epoch."""
    if hasattr(source, "item_at"):
        return source.item_at(key)
    epoch, place = divmod(key.position, len(source))
    return int(_permutation(key.seed, epoch, len(source))[place])


class SamplesByPosition(Dataset):
    """The run's samples, indexed by position."""

    def __init__(self, source: Source, objective: Objective, seed: int) -> None:
        self._source, self._prepare, self._seed = source, objective.prepare_sample, seed

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Draw the sample of a position."""
        key = DrawKey(self._seed, position)
        return self._prepare(self._source.sample(item_at(self._source, key), key), key)


class _Parts:
    """Batch sampler: the position lists of all steps from `first` on, part by part."""

    def __init__(self, place: Place, first: int, last: int) -> None:
        self._place, self._steps = place, range(first, last)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            yield from self._place.positions(step)

    def __len__(self) -> int:
        return len(self._steps) * self._place.accumulate


def make_loader(
    samples: SamplesByPosition, place: Place, steps: tuple[int, int], workers: int, pin: bool
) -> DataLoader:
    """Make the loader of one process: batches for steps `[first, last)`, each in `accumulate` parts.

    Args:
        samples: the run's samples.
        place: this process's share.
        steps: first step and the one after the last.
        workers: processes that make samples ahead; 0 makes them in the loop.
        pin: pin memory for copying to a GPU.
    """
    ahead = {"prefetch_factor": 4, "multiprocessing_context": "fork"} if workers else {}
    return DataLoader(
        _Told(samples), collate_fn=_collate, batch_sampler=_Parts(place, *steps), num_workers=workers, pin_memory=pin,
        worker_init_fn=_quiet_worker, **ahead,
    )  # fmt: skip


def batches_of(loader: DataLoader) -> Iterator[dict[str, Any]]:
    """The loader's batches.

    Raises:
        MedFMError: what a worker met, as it was; a DataLoader would give its traceback for a message.
    """
    for batch in loader:
        if isinstance(batch, MedFMError):
            raise batch
        yield batch


class _Told(Dataset):
    """Samples, or the errors that say why there is none."""

    def __init__(self, samples: SamplesByPosition) -> None:
        self._samples = samples

    def __getitem__(self, position: int) -> dict[str, Any] | MedFMError:
        try:
            return self._samples[position]
        except MedFMError as problem:
            return problem


def _collate(samples: list[Any]) -> Any:
    problem = next((sample for sample in samples if isinstance(sample, MedFMError)), None)
    return default_collate(samples) if problem is None else problem


def _quiet_worker(_: int) -> None:
    """One thread per worker: the loop needs the cores.

    Terminals and schedulers send their signal to the whole group of processes. Whether to stop is the loop's to decide,
    which ends its workers itself; a second SIGTERM ends a worker that it has forgotten.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _spare_once)


def _spare_once(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
