"""A small CT on disk and its result."""

from __future__ import annotations

import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import scene_results

from medfm_core.geometry import Affine
from medfm_core.volume import Volume
from medfm_core.voxel_hash import voxel_hash

SHAPE = (48, 40, 30)


@pytest.fixture
def viewed(tmp_path):
    """Folder of a result, its CT's file, and the CT."""
    affine = np.diag([-5.0, -5.0, 6.0, 1.0])
    affine[:3, 3] = 120, 100, -90
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    ras = index @ affine[:3, :3].T + affine[:3, 3]
    labels, grey = np.zeros(SHAPE, np.uint8), np.full(SHAPE, -200, np.int16)
    for name, centre, radius in (("liver", (50, 20, 0), 40), ("kidney_left", (-50, -30, 0), 25)):
        inside = np.linalg.norm(ras - centre, axis=-1) < radius
        labels[inside], grey[inside] = scene_results.IDS[name], 60
    away = np.linalg.norm(ras - (-50, -30, 0), axis=-1)
    heat = np.where(away < 25, np.exp(-((away / 15) ** 2)), 0).astype(np.float32)
    folder = scene_results.write_result(tmp_path / "result", labels, affine, heat)
    scan = Volume(grey, Affine(affine), "CT")
    file = tmp_path / "ct.nii.gz"
    nibabel.Nifti1Image(grey, affine).to_filename(file)
    manifest = json.loads((folder / "analysis.json").read_text())
    manifest["input"]["voxels_sha256"] = voxel_hash(scan)
    manifest["options"] = {"nifti_form": "auto"}
    (folder / "analysis.json").write_text(json.dumps(manifest))
    return SimpleNamespace(folder=folder, file=file, scan=scan)
