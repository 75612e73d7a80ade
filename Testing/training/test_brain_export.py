"""From virtual brains over a short pre-training and an exported card to `medfm analyze` and to probes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
import yaml

from medfm_core.brain_encoding import load_brain
from medfm_core.card_library import load_card
from medfm_core.cli import main as medfm
from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import InputError
from medfm_core.models.neuro_jepa import NeuroJepaConfig
from medfm_core.strict import from_dict
from training import export, pretrain
from training.card_entries import card_entries
from training.engine.build import build_objective
from training.engine.config import recipe_from_data
from training.evaluation.features import Extraction, extract_features
from training.evaluation.few_shot_targets import few_shot_targets
from training.evaluation.linear_probe import ProbeRows, fit_linear_probe
from training.evaluation.probe_inputs import ProbeRequest, open_inputs
from training.objectives.supervised import Supervised, SupervisedConfig
from training.prepare import main as prepare
from training.synthesize_brains import main as synthesize

INPUT = {"modality": ["MR"], "orientation": "SAR", "spacing_mm": [4.0, 4.0, 4.0], "size": [26, 28, 26],
         "intensity": {"kind": "percentiles", "percentiles": [0.5, 99.5], "to": [0, 1]}}  # fmt: skip
MODEL = {"name": "neuro_jepa", "image_size": [24, 24, 24], "width": 24, "depth": 2, "heads": 2, "mlp_width": 24,
         "expert_blocks": [1],
         "mixture": {"experts": 4, "active": 2, "expert_width": 8, "shared_width": 8}}  # fmt: skip
SPLITS = ("train", "train", "train", "val", "test", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six heads of two sequences, prepared, and a card of two steps of training."""
    folder = tmp_path_factory.mktemp("brains")
    brains = folder / "brains"
    assert synthesize(["--out", str(brains), "--count", "6", "--spacing", "4", "--sequences", "T1w", "FLAIR"]) == 0
    with (brains / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    for row in rows:
        row["split"] = SPLITS[subjects.index(row["subject"])]
    with (brains / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "input.yaml").write_text(yaml.safe_dump(INPUT))
    assert prepare(["--manifest", str(brains / "manifest.csv"), "--store", str(folder / "store"),
                    "--input", str(folder / "input.yaml"), "--preparation", "brain_mr"]) == 0  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(folder)))
    assert pretrain.main(["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    about = {"licence": "Apache-2.0", "trained_on": ["virtual brains"], "intended_use": "tests"}
    (folder / "about.json").write_text(json.dumps(about))
    assert export.main(["--run", str(folder / "run"), "--id", "brain-toy.v1", "--about", str(folder / "about.json"),
                        "--resources", str(folder / "res")]) == 0  # fmt: skip
    return folder


def recipe(folder, **data):
    return {
        "model": MODEL,
        "objective": {"name": "neuro_jepa", "predictor_width": 12, "predictor_depth": 1, "predictor_heads": 2,
                      "masks": [{"blocks": 4, "area": [0.1, 0.5]}]},
        "data": {"name": "volumes", "manifest": str(folder / "brains" / "manifest.csv"), "store": str(folder / "store"),
                 "preparation": "brain_mr", "input": INPUT, "crop": [24, 24, 24], "place": "centre",
                 "augment": "brain", **data},
        "optim": {"lr": 1.0e-3},
        "run": {"steps": 2, "batch_size": 2, "workers": 0, "checkpoint_every": 2, "precision": "fp32", "device": "cpu"},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "health_every": 0,
                    "probe_every": 0, "plots_every": 0},
    }  # fmt: skip


def test_the_card_says_how_brains_enter(folder):
    card = load_card(folder / "res" / "cards" / "brain-toy.v1.json")
    assert (card.task, card.input.orientation, card.input.size) == ("brain_embedding", "SAR", (26, 28, 26))
    assert card.input.sequences == ("T1w", "T2w", "FLAIR")
    net = load_brain(card, "cpu").net
    assert net.config.positions == "true"
    assert net.config.image_size == (24, 24, 24)


def test_it_analyses(folder, tmp_path):
    scans = sorted((folder / "brains").glob("*/T1w.nii.gz"))[0].parent
    command = ["analyze", str(scans / "T1w.nii.gz"), str(scans / "FLAIR.nii.gz"), "--out", str(tmp_path / "out")]
    assert medfm([*command, "--model", str(folder / "res" / "cards" / "brain-toy.v1.json"), "--quiet"]) == 0
    assert read_embeddings(tmp_path / "out").units == ("FLAIR", "T1w")


@pytest.mark.parametrize(
    ("target", "task"),
    [("sequence", "classification"), ("lesion", "classification"), ("side", "classification"), ("age", "regression"),
     ("atrophy", "regression")],
)  # fmt: skip
def test_probes_take_the_card_and_the_manifest(folder, target, task):
    card = str(folder / "res" / "cards" / "brain-toy.v1.json")
    manifest, store = folder / "brains" / "manifest.csv", str(folder / "store")
    inputs = open_inputs(ProbeRequest(None, card, manifest, store, (target,)))
    assert inputs.cohort.targets.task == task
    features = extract_features(inputs.encoder, inputs.source, Extraction(batch_size=4))
    assert features.shape == (12, 24)
    tokens = extract_features(inputs.encoder, inputs.source, Extraction("tokens", batch_size=4))
    assert np.allclose(tokens.float().mean(1), features, atol=1e-2)
    if target == "sequence":
        cohort = inputs.cohort
        few = few_shot_targets(cohort, 2, 0)
        assert few.known.sum() == 4
        train = cohort.rows("train")
        probe = fit_linear_probe(
            ProbeRows(features[train].numpy(), cohort.targets.take(train), cohort.subjects_of(train))
        )
        assert probe.predict(features.numpy()).shape == (12, 2)


@pytest.mark.parametrize(("head", "task"), [("attentive", "classification"), ("linear", "regression")])
def test_the_whole_encoder_can_be_fine_tuned(head, task):
    model = from_dict(NeuroJepaConfig, {key: MODEL[key] for key in MODEL if key != "name"}, "the test")
    tuned = Supervised(model, SupervisedConfig(task, 1 if task == "regression" else 2, head, layer_decay=0.75))
    batch = {"image": torch.rand(2, 1, 24, 24, 24), "target": torch.tensor([0, 1])}
    tuned(batch)["loss"].backward()
    assert all(value.grad is not None for name, value in tuned.encoder.named_parameters() if "blocks" in name)
    assert tuned.encode(batch).shape == (2, 24)


def test_what_cannot_be_exported(folder):
    data = recipe(folder, crop=[12, 24, 24])
    made = recipe_from_data(data, "the test")
    with pytest.raises(InputError, match="crops of"):
        card_entries(build_objective(made), made)
