"""A small objective and data source, registered as the parts `toy`, to try the engine with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.engine.objective import Objective
from training.engine.registry import PARTS, Part


@dataclass(frozen=True)
class ToyModelConfig:
    """A small net.

    Attributes:
        width: hidden units.
        dropout: share of hidden units that are dropped.
    """

    width: int = 16
    dropout: float = 0.1


@dataclass(frozen=True)
class ToyConfig:
    """What is learnt.

    Attributes:
        noise: noise drawn for each sample.
    """

    noise: float = 0.1


@dataclass(frozen=True)
class ToyDataConfig:
    """How much there is.

    Attributes:
        count: number of items.
        seen: file to which the drawn positions are written.
    """

    count: int = 10
    seen: str | None = None


class Toy(Objective):
    """Regresses a sum from a vector."""

    needs = ("x", "y")

    def __init__(self, model: ToyModelConfig, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.net = nn.Sequential(
            nn.Linear(4, model.width), nn.GELU(), nn.Dropout(model.dropout), nn.Linear(model.width, 1)
        )
        self.scale = 0.0

    def prepare_sample(self, sample, key):
        noise = key.rng("noise").normal(0, self.config.noise, 4).astype(np.float32)
        return sample | {"x": sample["x"] + torch.from_numpy(noise)}

    def before_step(self, step, steps):
        self.scale = 1 + step / steps

    def forward(self, batch, turn="all"):
        error = self.net(batch["x"])[:, 0] - batch["y"]
        return {"loss": self.scale * (error**2).mean(), "error": error.detach().abs().mean()}

    def encode(self, batch):
        return self.net[0](batch["x"])

    def exported(self):
        return self.net


class ToyData:
    def __init__(self, config: ToyDataConfig) -> None:
        self.config = config

    def __len__(self):
        return self.config.count

    def sample(self, item, key):
        if self.config.seen:
            with open(self.config.seen, "a") as file:
                file.write(f"{key.position} {item}\n")
        x = np.random.default_rng(item).normal(0, 1, 4).astype(np.float32)
        return {"x": torch.from_numpy(x), "y": torch.tensor(float(x.sum()))}


@dataclass(frozen=True)
class ToyImagesConfig:
    """Small images.

    Attributes:
        count: number of items.
    """

    count: int = 10


class ToyImages:
    """Slopes with noise, `(1, 4, 16, 16)`, for objectives that read images."""

    def __init__(self, config: ToyImagesConfig) -> None:
        self.config = config

    def __len__(self):
        return self.config.count

    def sample(self, item, key):
        rng = np.random.default_rng(item)
        slope = np.arange(16) * rng.normal() + 0.1 * rng.standard_normal((4, 16, 16))
        return {"image": torch.tensor(slope[None], dtype=torch.float32)}


def toy_sizes():
    return {"tiny": {"width": 8}, "small": {"width": 32}}


PARTS["model"]["toy"] = Part("engine_toys:ToyModelConfig", sizes="engine_toys:toy_sizes")
PARTS["objective"]["toy"] = Part("engine_toys:ToyConfig", "engine_toys:Toy")
PARTS["data"]["toy"] = Part("engine_toys:ToyDataConfig", "engine_toys:ToyData")
PARTS["data"]["toy_images"] = Part("engine_toys:ToyImagesConfig", "engine_toys:ToyImages")

TOY = {"model": {"name": "toy"}, "objective": {"name": "toy"}, "data": {"name": "toy"}}

TOY_IMAGES = {
    "model": {"name": "totalfm", "image_size": [4, 16, 16], "patch_size": [2, 4, 4], "channels": 1, "width": 12,
              "depth": 2, "heads": 2, "mlp_width": 24, "dropout": 0.1},
    "objective": {"name": "videomae", "mask": "random", "mask_ratio": 0.5, "decoder_width": 12, "decoder_depth": 1,
                  "decoder_heads": 2},
    "data": {"name": "toy_images"},
}  # fmt: skip


def environment() -> dict[str, str]:
    """Environment of a process that can import this module."""
    here = Path(__file__).resolve().parent
    return {**os.environ, "PYTHONPATH": f"{here.parent}{os.pathsep}{here}", "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    import sys

    from training.pretrain import main

    sys.exit(main())
