"""What a run of the segmenter's training is: data to read, nothing to execute."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from medfm_core.card_parts import InputSpec, Intensity, Window
from medfm_core.errors import InputError
from medfm_core.models.segmenter import SegmenterConfig
from medfm_core.strict import from_dict, to_dict
from training.data.segmentation_augmentation import SegmentationAugmentation


def ct_input() -> InputSpec:
    """CT at 3 mm in two windows: everything from air to bone, and soft tissue."""
    windows = (Window(0.0, 2000.0), Window(40.0, 400.0))
    return InputSpec(("CT",), Intensity("windows", to=(-1.0, 1.0), windows=windows), spacing_mm=(3.0, 3.0, 3.0))


@dataclass(frozen=True)
class Phase:
    """A stretch of training on one mixture of cases at one resolution.

    Attributes:
        steps: optimiser steps.
        spacing_mm: voxel size of the patches; coarse phases see more anatomy per second.
        patch: `(D, H, W)` of the patches.
        batch_size: patches per step.
        lr: peak learning rate; it warms up over 40 steps and falls to `lr * final` along a cosine.
        final: share of the peak that is left at the end of the phase.
        real: share of patches drawn from real cases; the others come from virtual patients.
        pseudo: share drawn from cases labelled by an earlier net.
    """

    steps: int
    spacing_mm: float = 3.0
    patch: tuple[int, int, int] = (64, 96, 128)
    batch_size: int = 1
    lr: float = 1e-3
    final: float = 0.1
    real: float = 0.5
    pseudo: float = 0.0


@dataclass(frozen=True)
class SegmenterRecipe:
    """Everything that decides a training run of the organ segmenter."""

    classes: tuple[str, ...]
    model: SegmenterConfig = field(default_factory=SegmenterConfig)
    input: InputSpec = field(default_factory=ct_input)
    augmentation: SegmentationAugmentation = field(default_factory=SegmentationAugmentation)
    phases: tuple[Phase, ...] = (Phase(steps=1000),)
    weight_decay: float = 1e-2
    background_weight: float = 0.5
    grad_clip: float = 1.0
    ema: float = 0.998
    virtual_patients: int = 0
    seed: int = 1

    @property
    def digest(self) -> str:
        """Hash of everything in the recipe, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(to_dict(self), sort_keys=True).encode()).hexdigest()[:16]


def read_recipe(path: str | Path) -> SegmenterRecipe:
    """Read a recipe from YAML; unknown keys are errors that name the nearest valid one.

    Raises:
        InputError: the file is missing, not YAML, or not a recipe.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as problem:
        raise InputError(f"the recipe {path} cannot be read", "check its name and that it is YAML") from problem
    return from_dict(SegmenterRecipe, data, f"the recipe {path}")
