"""A folder of results of brain MRI made by hand, small and exactly known; needs numpy alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scene_results

SHAPE = (40, 48, 36)
COLOURS = ((204, 51, 51), (72, 199, 110), (20, 60, 170), (230, 190, 60))


def affine_of(name: str) -> np.ndarray:
    """LPS voxels of 4 mm; each scan lies a little elsewhere."""
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = (78, 94 + (5 if name == "FLAIR" else 0), -70)
    return affine


def phantom(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey values, heat (a ball on the left, in front) and experts (right half 1, left half 2; 0 outside)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    affine = affine_of(name)
    ras = index @ affine[:3, :3].T + affine[:3, 3]
    inside = ((ras / (60, 75, 60)) ** 2).sum(-1) < 1
    grey = np.where(inside, 300, 0).astype(np.int16)
    away = np.linalg.norm(ras - (-30, 30, 0), axis=-1)
    heat = np.where(away < 20, np.exp(-((away / 14) ** 2)), 0).astype(np.float32)
    experts = np.where(inside, np.where(ras[..., 0] > 0, 1, 2), 0).astype(np.uint8)
    return grey, heat, experts


def write_result(folder: Path, names: tuple[str, ...] = ("T1w",), digests: dict[str, str] | None = None) -> Path:
    """Write a result with a saliency map and the routing of one block per scan."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"report.html": "", "embeddings.json": "", "experts.csv": ""}
    scans = {}
    for name in names:
        _, heat, experts = phantom(name)
        for file, voxels in ((f"saliency_{name}.nii.gz", heat), (f"routing_{name}_block3.nii.gz", experts)):
            scene_results.write_nifti(folder / file, voxels)
            files[file] = ""
        scans[name] = {
            "sequence": name.partition("-")[0], "shape": list(SHAPE), "spacing_mm": [4.0, 4.0, 4.0],
            "affine_ras": affine_of(name).tolist(), "voxels_sha256": (digests or {}).get(name, "0" * 64),
        }  # fmt: skip
    manifest = {
        "schema": "medfm.analysis.brain.v1", "medfm": "0.1.0", "notice": "Research use only.", "created": "2026-01-01",
        "model": {"id": "brain.v1", "card_sha256": "ab"}, "run": {"device": "cpu"}, "options": {"nifti_form": "auto"},
        "warnings": [{"code": "x", "sentence": "T1w: the skull is still there."}], "scans": scans, "files": files,
        "experts": {"count": 4, "colours": [list(colour) for colour in COLOURS]},
    }  # fmt: skip
    (folder / "analysis.json").write_text(json.dumps(manifest))
    (folder / "report.html").write_text("report")
    return folder
