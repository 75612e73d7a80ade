"""Small CTs of an oval body with a liver and two kidneys, and manifests that list them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel
import numpy as np

SHAPE, MM = (48, 40, 36), 5.0
INPUT = "modality: [CT]\nspacing_mm: [6, 6, 6]\nintensity: {kind: clip_scale, hu: [-1000, 1000], to: [-1, 1]}\n"


def body(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """HU int16 and labels uint8 (5 liver, 2 right and 3 left kidney) in RAS order."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.linspace(-1, 1, n).reshape([-1 if a == b else 1 for b in range(3)]) for a, n in enumerate(shape))
    hu = np.full(shape, -1000.0)
    radius = np.hypot(x, y) + 0 * z
    hu[radius < 0.8], hu[radius < 0.7] = -100, 50
    labels = np.zeros(shape, np.uint8)
    for label, centre, value in ((5, 0.35, 110), (2, 0.3, 160), (3, -0.3, 160)):
        height = 0.3 if label == 5 else -0.4
        inside = ((x - centre) / 0.2) ** 2 + (y / 0.3) ** 2 + ((z - height) / 0.3) ** 2 < 1
        hu[inside], labels[inside] = value, label
    return (hu + rng.normal(0, 8, shape)).round().astype(np.int16), labels


def write_nifti(path: Path, voxels: np.ndarray, mm: float = MM) -> Path:
    """Write an array in RAS order, uncompressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([mm, mm, mm, 1])), path)
    return path


def write_manifest(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Write rows with whatever columns they have."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_cohort(folder: Path, count: int = 4) -> Path:
    """A few patients with labels and targets; returns the manifest. The last is in `val`, the one before in `test`."""
    rows = []
    for number in range(count):
        hu, labels = body(number)
        write_nifti(folder / f"s{number}.nii", hu)
        write_nifti(folder / f"s{number}_organs.nii", labels)
        split = {count - 1: "val", count - 2: "test"}.get(number, "train")
        rows.append(
            {
                "subject": f"s{number}", "study": "first", "path": f"s{number}.nii", "modality": "CT",
                "labels": f"s{number}_organs.nii", "organs": "liver;kidney_left", "split": split, "text": "A, and B.",
                "target.age": 40 + number if number else "", "target.side": ["left", "right"][number % 2],
                "info.site": "north",
            }
        )  # fmt: skip
    return write_manifest(folder / "manifest.csv", rows)
