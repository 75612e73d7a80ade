"""Whole-body self-distillation in the one loop: teacher, centres and shares are resumed bit for bit."""

from __future__ import annotations

import numpy as np
from safetensors.torch import load_file

from training.data.manifest_table import write_table
from training.engine.config import recipe_from_data
from training.engine.loop import train
from training.engine.retention import last

ORGANS = [
    {"name": "heart", "kind": "table", "fields": ["mass", "volume", "strain"]},
    {"name": "liver", "kind": "table", "fields": ["volume", "fat"]},
]


def recipe(folder):
    rng = np.random.default_rng(0)
    columns = [f"feature.{organ['name']}.{field}" for organ in ORGANS for field in organ["fields"]]
    rows = [
        {"subject": f"s{n}", "study": "1", "path": f"nowhere/{n}", "modality": "MR", "split": "train",
         **{name: (None if n % 3 == 0 and "liver" in name else rng.normal()) for name in columns}}
        for n in range(12)
    ]  # fmt: skip
    write_table(folder / "manifest.csv", ["subject", "study", "path", "modality", "split", *columns], rows)
    return recipe_from_data(
        {
            "model": {"name": "pan_fm", "organs": ORGANS, "width": 12, "depth": 1, "heads": 2, "mlp_width": 12},
            "objective": {"name": "pan_fm", "ema": 0.5, "head": {"prototypes": 8, "hidden": 8, "bottleneck": 4},
                          "mask": {"average": 0.5}},
            "data": {"name": "organ_sets", "manifest": str(folder / "manifest.csv"), "organs": ORGANS},
            "optim": {"lr": 0.01, "warmup_steps": 1},
            "run": {"steps": 4, "batch_size": 4, "accumulate": 2, "workers": 0, "checkpoint_every": 2, "device": "cpu",
                    "precision": "fp32", "monitor_samples": 4, "keep_last": 9, "keep_best": 0},
            "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": True,
                        "health_every": 2, "probe_every": 0},
        }
    )  # fmt: skip


def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    made = recipe(tmp_path)
    assert train(made, tmp_path / "run").step == 4
    path = last(tmp_path / "run" / "checkpoints").path
    whole = {file.name: load_file(file) for file in path.glob("*.safetensors")}
    for file in sorted(path.iterdir()):
        file.unlink()
    path.rmdir()
    assert train(made, tmp_path / "run").step == 4
    again = {file.name: load_file(file) for file in last(tmp_path / "run" / "checkpoints").path.glob("*.safetensors")}
    names = [name for tensors in whole.values() for name in tensors]
    assert any(name.startswith("model.teacher.") for name in names)
    for file, tensors in whole.items():
        assert all((value == again[file][name]).all() for name, value in tensors.items())
        for part in ("body_centre", "token_centre"):
            assert f"model.{part}" not in tensors or tensors[f"model.{part}"].abs().sum() > 0
