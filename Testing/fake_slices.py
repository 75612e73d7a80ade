"""A small cohort of images at mixed spacings, prepared as slices: thin and thick CT, MR, and a 2D image."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from fake_cohort import write_manifest

from training.prepare import main

INPUT = """modality: [CT, MR, DX]
orientation: null
spacing_mm: [1.0, 1.5, 1.5]
spacing_rule: at_least
crop: body
intensity: {kind: percentiles, percentiles: [0.5, 99.5], to: [0, 1]}
by_modality: {CT: {kind: clip_scale, hu: [-1000, 1000], to: [0, 1]}}
"""
# Name, modality, shape and spacing of each image; the thick axis is not always the last one.
IMAGES = (
    ("thin", "CT", (36, 32, 30), (4.0, 4.0, 4.0)),
    ("thick", "CT", (36, 32, 12), (4.0, 4.0, 10.0)),
    ("head", "MR", (9, 40, 40), (9.0, 2.0, 2.0)),
    ("flat", "DX", (60, 1, 50), (2.0, 1.0, 2.0)),
)


def oval(shape: tuple[int, int, int], modality: str, seed: int = 0) -> np.ndarray:
    """An oval body with two bright balls in it; int16 HU for a CT."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = (x / 0.85) ** 2 + (y / 0.85) ** 2 + (z / 1.5) ** 2 < 1
    ball = sum(((x - side) / 0.25) ** 2 + (y / 0.25) ** 2 + (z / 0.4) ** 2 < 1 for side in (-0.4, 0.4)) > 0
    if modality == "CT":
        values = np.where(inside, 40.0, -1000.0) + 160 * ball + rng.normal(0, 8, shape)
    else:
        values = np.where(inside, 300.0, 5.0) + 500 * ball + rng.normal(0, 5, shape)
    return values.round().astype(np.int16)


def make_images(folder: Path, names: tuple[str, ...] = ("thin", "thick", "head", "flat"), copies: int = 1) -> Path:
    """Write images and their manifest, all in `train`; returns the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, modality, shape, spacing in (image for image in IMAGES if image[0] in names):
        for copy in range(copies):
            path = folder / f"{name}{copy}.nii"
            voxels = oval(shape, modality, len(rows))
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([*spacing, 1.0])), path)
            rows.append({"subject": f"{name}{copy}", "study": "a", "path": path.name, "modality": modality,
                         "split": "train"})  # fmt: skip
    return write_manifest(folder / "manifest.csv", rows)


def prepare_images(folder: Path, **more: object) -> dict[str, str]:
    """Make the images and store them as slices; returns the entries of a cohort of `spacing_buckets`."""
    manifest = make_images(folder, **more)
    (folder / "input.yaml").write_text(INPUT)
    done = main(["--manifest", str(manifest), "--store", str(folder / "store"), "--input", str(folder / "input.yaml"),
                 "--preparation", "slices", "--accept", "tiny"])  # fmt: skip
    assert done == 0
    return {"manifest": str(manifest), "store": str(folder / "store")}
