"""A small cohort with a planted signal, and an encoder that sees it: what the tests of probing work on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.engine.draw import DrawKey
from training.evaluation.cohort import Cohort, Targets

SIDE = 4


class ToySource:
    """Images `(1, 4, 4, 4)` of noise; the class shifts two corners against each other, the subject shifts all.

    Args:
        count: items; two of each subject.
        seed: of everything.
        strength: of the class.
    """

    def __init__(self, count: int = 240, seed: int = 0, strength: float = 0.4) -> None:
        rng = np.random.default_rng(seed)
        self.target = rng.integers(0, 2, count)
        images = rng.normal(size=(count, 1, SIDE, SIDE, SIDE)).astype(np.float32)
        images += np.repeat(rng.normal(size=count // 2), 2)[:, None, None, None, None]
        images[:, 0, 0, 0] += strength * (2 * self.target[:, None] - 1)
        images[:, 0, 3, 3] -= strength * (2 * self.target[:, None] - 1)
        self.images, self.asked = images, []
        self.digest = f"toy {count} {seed} {strength}"

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, item: int, key: DrawKey) -> dict[str, Tensor]:
        self.asked.append((item, key.position))
        return {"image": torch.from_numpy(self.images[item]), "target": torch.tensor(int(self.target[item]))}

    def cohort(self, values: np.ndarray | None = None) -> Cohort:
        """Two thirds of the subjects train, the others test; the class is the target unless other values are given."""
        subjects = tuple(f"s{n // 2:03d}" for n in range(len(self)))
        splits = tuple("test" if (n // 2) % 3 == 0 else "train" for n in range(len(self)))
        targets = Targets("classification", self.target if values is None else values, ("no", "yes"), "lesion")
        return Cohort(subjects, tuple(f"v{n % 2}" for n in range(len(self))), splits, targets)


class ToyEncoder(nn.Module):
    """Tokens of 16 along D: differences between the corners, which a random one finds only by luck."""

    width = 16

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(SIDE**3, 2 * self.width, bias=False)
        with torch.no_grad():
            self.mix.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
            self.mix.weight[0, :SIDE] = 1.0
            self.mix.weight[0, -SIDE:] = -1.0
        self.dropout = nn.Dropout(0.5)

    def tokens(self, batch: dict[str, Tensor]) -> Tensor:
        return self.dropout(self.mix(batch["image"].flatten(1))).unflatten(1, (2, self.width))

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        return self.tokens(batch).mean(dim=1)
