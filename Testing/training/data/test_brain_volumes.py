"""Brains from the manifest to the objective: the stored box, the foreground, and augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import training
from medfm_core.card_inputs import InputSpec
from medfm_core.strict import from_dict
from training.data.volumes import Volumes, VolumesConfig
from training.engine.config import read_recipe
from training.engine.draw import DrawKey
from training.masking.foreground import foreground_voxels
from training.objectives.neuro_jepa import NeuroJepa
from training.prepare import main as prepare
from training.synthesize_brains import main as synthesize

PACKAGE = Path(training.__file__).parent
INPUT = {"modality": ["MR"], "orientation": "SAR", "spacing_mm": [3.0, 3.0, 3.0], "size": [28, 28, 28],
         "intensity": {"kind": "percentiles", "percentiles": [0.5, 99.5], "to": [0, 1]}}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two heads of two sequences, prepared."""
    folder = tmp_path_factory.mktemp("brains")
    assert (
        synthesize(["--out", str(folder / "brains"), "--count", "2", "--spacing", "4", "--sequences", "T1w", "FLAIR"])
        == 0
    )
    (folder / "input.yaml").write_text(yaml.safe_dump(INPUT))
    assert prepare(["--manifest", str(folder / "brains" / "manifest.csv"), "--store", str(folder / "store"),
                    "--input", str(folder / "input.yaml"), "--preparation", "brain_mr"]) == 0  # fmt: skip
    return folder


def source(made, augment):
    return Volumes(
        VolumesConfig(
            manifest=str(made / "brains" / "manifest.csv"),
            store=str(made / "store"),
            input=from_dict(InputSpec, INPUT, "the test"),
            preparation="brain_mr",
            split="all",
            crop=(24, 24, 24),
            place="centre",
            augment=augment,
        )
    )


def test_each_scan_is_a_sample_with_its_sequence(made):
    volumes = source(made, "none")
    assert [row.sequence for row in volumes.rows] == ["T1w", "FLAIR", "T1w", "FLAIR"]
    categories = volumes.targets["sequence"].categories
    sample = volumes.sample(1, DrawKey(0, 0))
    assert categories[int(sample["target.sequence"])] == "FLAIR"
    assert sample["image"].shape == (1, 24, 24, 24)
    assert -0.3 < float(sample["image"].min()) <= 0.01
    assert 0.8 < float(sample["image"].max()) < 1.3
    assert "foreground" not in sample


def test_the_foreground_is_that_of_the_image_before_its_values_changed(made):
    plain, changed = source(made, "none"), source(made, "brain")
    before = foreground_voxels(plain.sample(0, DrawKey(0, 0))["image"])
    turned, spoiled = 0, 0
    for step in range(12):
        sample = changed.sample(0, DrawKey(1, step))
        mirrored = torch.equal(sample["foreground"], before.flip(0))
        assert mirrored or torch.equal(sample["foreground"], before)
        turned += mirrored
        spoiled += float((foreground_voxels(sample["image"]) != sample["foreground"]).float().mean()) > 0.1
    assert 0 < turned < 12
    assert spoiled > 0  # looked for afterwards, it would have been another


def test_augmentation_is_a_function_of_the_draw(made):
    volumes = source(made, "brain_flips")
    one, again, other = (volumes.sample(2, DrawKey(4, step)) for step in (5, 5, 6))
    assert torch.equal(one["image"], again["image"])
    assert not torch.equal(one["image"], other["image"])


def test_the_objective_takes_the_samples(made):
    recipe = read_recipe([PACKAGE / "recipes" / "neuro_jepa" / "mini-pretrain.yaml"])
    with torch.device("meta"):
        objective = NeuroJepa(recipe.model, recipe.objective)
    weights = objective.exported().state_dict().values()
    assert sum(value.numel() for value in weights) * 2 <= 8e6  # the file in fp16
    sample = source(made, "brain").sample(0, DrawKey(0, 3))
    ready = objective.prepare_sample(sample, DrawKey(0, 3))
    assert ready["foreground"].shape == (8,)
    assert ready["visible"].shape[0] == 3


def test_the_input_file_is_that_of_the_recipe():
    recipe = read_recipe([PACKAGE / "recipes" / "neuro_jepa" / "mini-pretrain.yaml"])
    file = yaml.safe_load((PACKAGE / "inputs" / "neuro-jepa-mini.yaml").read_text())
    assert from_dict(InputSpec, file, "the file") == recipe.data.input
    assert all(side % 12 == 0 for side in recipe.data.crop)
    assert np.less_equal(recipe.data.crop, recipe.data.input.size).all()
