"""Random draws as functions of who draws, at which place of the run, and what for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class DrawKey:
    """Where in a run a sample is drawn; the same key draws the same numbers whatever worker or rank asks.

    Attributes:
        seed: the run's seed.
        position: number of the sample in the run: step * global batch size + index in the global batch.
    """

    seed: int
    position: int

    def rng(self, purpose: str) -> np.random.Generator:
        """Generator for one purpose, such as "crop"; purposes do not disturb each other."""
        return np.random.default_rng((self.seed, self.position, zlib.crc32(purpose.encode())))

    def generator(self, purpose: str) -> torch.Generator:
        """The same for torch."""
        return torch.Generator().manual_seed(int(self.rng(purpose).integers(2**63)))
