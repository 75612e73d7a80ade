"""Latent prediction in the one loop: teacher and balance are resumed bit for bit, in float32 and bf16."""

from __future__ import annotations

import engine_toys  # noqa: F401  (registers the part `toy_images`)
import pytest
import torch
from safetensors.torch import load_file

from training.engine.config import recipe_from_data
from training.engine.loop import train
from training.engine.retention import last

PARTS = {
    "model": {"name": "neuro_jepa", "image_size": [4, 16, 16], "patch_size": [2, 4, 4], "width": 24, "depth": 2,
              "heads": 4, "mlp_width": 24, "expert_blocks": [1],
              "mixture": {"experts": 4, "active": 2, "expert_width": 12, "shared_width": 12}},
    "objective": {"name": "neuro_jepa", "ema": 0.5, "predictor_width": 24, "predictor_depth": 1, "predictor_heads": 4,
                  "balance_rate": 0.01},
    "data": {"name": "toy_images"},
    "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": True,
                "health_every": 2, "probe_every": 0},
    "optim": {"lr": 0.01, "warmup_steps": 1},
}  # fmt: skip


def recipe(precision):
    run = {"steps": 4, "batch_size": 4, "accumulate": 2, "workers": 0, "checkpoint_every": 2, "precision": precision,
           "device": "cpu", "monitor_samples": 4, "keep_last": 9, "keep_best": 0}  # fmt: skip
    return recipe_from_data(PARTS | {"run": run})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path, monkeypatch, precision):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    assert train(recipe(precision), tmp_path).step == 4
    path = last(tmp_path / "checkpoints").path
    whole = {file.name: load_file(file) for file in path.glob("*.safetensors")}
    for file in sorted(path.iterdir()):
        file.unlink()
    path.rmdir()
    assert train(recipe(precision), tmp_path).step == 4
    again = {file.name: load_file(file) for file in last(tmp_path / "checkpoints").path.glob("*.safetensors")}
    names = [name for tensors in whole.values() for name in tensors]
    assert any(name.startswith("model.teacher.") for name in names)
    for file, tensors in whole.items():
        assert all(torch.equal(value, again[file][name]) for name, value in tensors.items())
        balance = tensors.get("model.encoder.blocks.1.mlp.router.balance")
        assert balance is None or balance.abs().sum() > 0
