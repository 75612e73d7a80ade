"""Studies of two scans of which each shows half of the truth: what the tests of fusions work on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from toy_probe import SIDE, ToyEncoder

from training.engine.draw import DrawKey
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.probe_inputs import ProbeInputs

SEQUENCES = ("T1w", "FLAIR")


class ToyStudies:
    """Images `(1, 4, 4, 4)`: one number is written in each scan of a study; the class is the sign of their sum,
    now and then not.

    Args:
        count: studies, one of each subject; half of them train, a sixth val, a third test.
        lacking: so many of the test studies have no FLAIR.
        seed: of everything.
    """

    def __init__(self, count: int = 240, lacking: int = 0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(count, len(SEQUENCES)))
        split = np.array(["train", "train", "train", "val", "test", "test"])[np.arange(count) % 6]
        without = set(np.flatnonzero(split == "test")[:lacking])
        self.scans = [(n, m) for n in range(count) for m in range(2) if m == 0 or n not in without]
        images = rng.normal(0, 0.1, (len(self.scans), 1, SIDE, SIDE, SIDE))
        images[:, 0, 0, 0] += np.array([values[scan] for scan in self.scans])[:, None]
        self.images = images.astype(np.float32)
        classes = (values.sum(axis=1) + rng.normal(0, 0.3, count) > 0).astype(np.int64)
        self.sequences = tuple(SEQUENCES[m] for _, m in self.scans)
        self.cohort = Cohort(
            tuple(f"s{n:03d}" for n, _ in self.scans),
            ("mr",) * len(self.scans),
            tuple(split[n] for n, _ in self.scans),
            Targets("classification", classes[[n for n, _ in self.scans]], ("no", "yes"), "lesion"),
        )
        self.digest = f"toy studies {count} {lacking} {seed}"

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        return {"image": torch.from_numpy(self.images[item])}

    def inputs(self) -> ProbeInputs:
        """As the commands find them."""
        return ProbeInputs(ToyEncoder(), self, self.cohort, {"card": "toy"}, self.sequences)
