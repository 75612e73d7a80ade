"""Cohorts of tiny prepared heads with known truth, and a run of a tiny encoder on them, for commands that probe."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import yaml

from training.engine.config import recipe_from_data
from training.engine.loop import train
from training.prepare import main as prepare

INPUT = {"modality": ["MR"], "orientation": "SAR", "spacing_mm": [8.0, 8.0, 8.0], "size": [20, 20, 20],
         "intensity": {"kind": "percentiles", "percentiles": [0.5, 99.5], "to": [0, 1]}}  # fmt: skip
MODEL = {"name": "neuro_jepa", "image_size": [16, 16, 16], "patch_size": [4, 4, 4], "width": 24, "depth": 2, "heads": 2,
         "mlp_width": 24, "expert_blocks": [1],
         "mixture": {"experts": 4, "active": 2, "expert_width": 8, "shared_width": 8}}  # fmt: skip
_SIDES = ("", "left", "right", "both")
_SHAPE = (18, 22, 18)


def small_heads(folder: Path, heads: int, first: int = 0) -> tuple[Path, Path]:
    """Write heads of two sequences and prepare them.

    A quarter of them is healthy; the others have a bright blob on the left, the right, or on both sides. `age` is how
    bright the middle is.

    Args:
        folder: made here.
        heads: how many.
        first: number of the first.

    Returns:
        Manifest and store.
    """
    folder.mkdir(parents=True)
    (folder / "input.yaml").write_text(yaml.safe_dump(INPUT))
    rows = []
    for number in range(first, first + heads):
        side, rng = _SIDES[number % 4], np.random.default_rng(number)
        age = float(rng.uniform(20, 90))
        for sequence in ("T1w", "FLAIR"):
            name = f"h{number:03d}_{sequence}.nii.gz"
            nibabel.save(_image(side, age, sequence, rng), folder / name)
            split = "val" if number % 5 == 0 else "train"
            rows.append([f"h{number:03d}", "mr", name, "MR", sequence, split, int(side != ""), side, f"{age:.1f}",
                         sequence])  # fmt: skip
    heading = ["subject", "study", "path", "modality", "sequence", "split", "target.lesion", "target.side",
               "target.age", "target.sequence"]  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
    assert prepare(["--manifest", str(folder / "manifest.csv"), "--store", str(folder / "store"),
                    "--input", str(folder / "input.yaml"), "--preparation", "brain_mr"]) == 0  # fmt: skip
    return folder / "manifest.csv", folder / "store"


def small_run(folder: Path, manifest: Path, store: Path, objective: dict) -> Path:
    """Train the tiny encoder for two steps; returns the run's folder."""
    recipe = {
        "model": MODEL, "objective": objective,
        "data": {"name": "volumes", "manifest": str(manifest), "store": str(store), "preparation": "brain_mr",
                 "input": INPUT, "crop": [16, 16, 16], "place": "centre", "augment": "brain"},
        "run": {"steps": 2, "batch_size": 4, "workers": 0, "device": "cpu", "monitor_samples": 0, "precision": "fp32"},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "health_every": 0,
                    "probe_every": 0, "plots_every": 0},
    }  # fmt: skip
    assert train(recipe_from_data(recipe), folder).step == 2
    return folder


def _image(side: str, age: float, sequence: str, rng: np.random.Generator) -> nibabel.Nifti1Image:
    """An ellipsoid, 0 around it; RAS."""
    x, y, z = np.meshgrid(*(np.linspace(-1.1, 1.1, n) for n in _SHAPE), indexing="ij")
    inside = x**2 + y**2 + z**2 < 1
    values = np.where(inside, 300.0 if sequence == "T1w" else 500.0 + 200 * y, 0.0)
    values[inside & (np.abs(z) < 0.3) & (np.abs(x) < 0.3)] = 100 + 4 * age
    for name, place in (("left", -0.5), ("right", 0.5)):
        if side in (name, "both"):
            values[(x - place) ** 2 + y**2 + z**2 < 0.09] = 1000
    values += inside * rng.normal(0, 10, _SHAPE)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -np.array(_SHAPE) * 4
    image = nibabel.Nifti1Image(values.clip(0).astype(np.float32), affine)
    image.header.set_xyzt_units("mm")
    return image
