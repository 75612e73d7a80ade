"""What a probe starts from: prepared volumes as they are, and encoders of runs and cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from fake_cohort import INPUT, make_cohort
from safetensors.torch import save_file
from torch import nn

from medfm_core.errors import InputError, WeightsError
from medfm_core.models.brainiac import BrainIACConfig, BrainIACEncoder
from medfm_core.models.totalfm import ImageEncoder, TotalFMConfig
from medfm_core.strict import from_dict
from training.engine import runs
from training.engine.draw import DrawKey
from training.evaluation.card_encoder import load_card_encoder
from training.evaluation.encoders import pooled_features, token_features
from training.evaluation.probe_inputs import ProbeRequest, open_inputs
from training.prepare import main as prepare

SIZES = {"image_size": [8, 16, 16], "patch_size": [4, 8, 8], "channels": 1, "width": 12, "depth": 1, "heads": 2,
         "mlp_width": 24, "head_width": 10, "embedding_width": 6}  # fmt: skip
SEEN = {"modality": ["CT"], "spacing_mm": [6, 6, 6],
        "intensity": {"kind": "clip_scale", "hu": [-1000, 1000], "to": [-1, 1]}}  # fmt: skip


def test_all_volumes_are_opened_once_each_with_their_split_and_target(tmp_path: Path, monkeypatch):
    manifest = make_cohort(tmp_path / "cohort", 5)
    (tmp_path / "input.yaml").write_text(INPUT)
    store = str(tmp_path / "store")
    assert prepare(["--manifest", str(manifest), "--store", store, "--input", str(tmp_path / "input.yaml")]) == 0
    data = {"name": "volumes", "manifest": "gone.csv", "store": "gone", "input": SEEN, "crop": [8, 16, 16],
            "crops_per_volume": 3, "augment": "none", "place": "random"}  # fmt: skip
    asked = []

    def load_encoder(folder: Path, which: str) -> tuple[nn.Module, dict]:
        asked.append((folder, which))
        return nn.Flatten(), {"recipe": {"data": data}}

    monkeypatch.setattr(runs, "load_encoder", load_encoder)
    request = ProbeRequest(Path("run"), None, manifest, store, ("age",), which="best")
    inputs = open_inputs(request)
    assert asked == [(Path("run"), "best")]
    assert inputs.cohort.subjects == ("s0", "s1", "s2", "s3", "s4")
    assert inputs.cohort.splits == ("train", "train", "train", "test", "val")
    assert inputs.cohort.targets.task == "regression"
    assert inputs.cohort.targets.values[1:].tolist() == [41, 42, 43, 44]
    assert len(inputs.source) == 5
    one, again = (inputs.source.sample(2, DrawKey(seed, 0))["image"] for seed in (0, 1))
    assert one.shape == (1, 8, 16, 16)
    assert torch.equal(one, again)
    assert inputs.source.digest
    with pytest.raises(InputError, match="one of --run and --card"):
        open_inputs(ProbeRequest(None, None, manifest, store, ("age",)))


def write_card(folder: Path) -> Path:
    torch.manual_seed(0)
    config = TotalFMConfig(**{name: tuple(v) if isinstance(v, list) else v for name, v in SIZES.items()})
    save_file(ImageEncoder(config).state_dict(), folder / "toy.safetensors")
    weights = (folder / "toy.safetensors").read_bytes()
    card = {
        "id": "toy", "task": "embedding", "architecture": {"name": "totalfm", **SIZES}, "licence": "Apache-2.0",
        "weights": [{"file": "toy.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}],
        "source": {"kind": "file", "path": "."}, "input": SEEN, "trained_on": ["nothing"],
        "intended_use": "research only; not a medical device",
    }  # fmt: skip
    (folder / "toy.json").write_text(json.dumps(card))
    return folder / "toy.json"


def test_the_encoder_of_a_card_gives_vectors_and_tokens(tmp_path: Path):
    with torch.random.fork_rng():
        card = write_card(tmp_path)
    encoder, described = load_card_encoder(str(card))
    batch = {"image": torch.randn(2, 1, 8, 16, 16)}
    assert pooled_features(encoder, batch).shape == (2, 6)
    assert token_features(encoder, batch).shape == (2, 8, 12)
    assert described["card"] == "toy"
    (tmp_path / "toy.safetensors").write_bytes(b"x" * 10)
    with pytest.raises(WeightsError, match="10 bytes"):
        load_card_encoder(str(card))


def test_a_brain_encoder_without_experts_is_probed_too(tmp_path: Path):
    config = {"image_size": [8, 8, 8], "patch_size": [4, 4, 4], "width": 12, "depth": 1, "heads": 2, "mlp_width": 24}
    net = BrainIACEncoder(from_dict(BrainIACConfig, config, "it"))
    save_file(net.state_dict(), tmp_path / "toy.safetensors")
    weights = (tmp_path / "toy.safetensors").read_bytes()
    input_ = {"modality": ["MR"], "orientation": "RAS", "size": [8, 8, 8], "spacing_rule": "native",
              "resampling": "face_to_face", "intensity": {"kind": "zscore"}}  # fmt: skip
    card = json.loads(write_card(tmp_path).read_text()) | {
        "id": "brain", "task": "brain_embedding", "architecture": {"name": "brainiac", **config}, "input": input_,
        "weights": [{"file": "toy.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}],
    }  # fmt: skip
    (tmp_path / "toy.safetensors").write_bytes(weights)
    (tmp_path / "brain.json").write_text(json.dumps(card))
    encoder, _ = load_card_encoder(str(tmp_path / "brain.json"))
    batch = {"image": torch.randn(2, 1, 8, 8, 8)}
    assert torch.equal(pooled_features(encoder, batch), token_features(encoder, batch)[:, 0])


def test_a_model_that_is_no_encoder_is_refused():
    with pytest.raises(InputError, match="cannot be probed"):
        load_card_encoder("organ-segmenter-tiny.v2")
