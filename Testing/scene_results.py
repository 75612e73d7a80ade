"""Folders of results made by hand, small and exactly known; needs numpy alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

_SCT = {
    "liver": ("10200004", "Liver", None),
    "kidney_right": ("64033007", "Kidney", ("24028007", "Right")),
    "kidney_left": ("64033007", "Kidney", ("7771000", "Left")),
    "kidney_cyst_left": ("367643001", "Cyst", ("7771000", "Left")),
    "shoulder_girdle": (None, None, None),
}
IDS = {"liver": 5, "kidney_right": 2, "kidney_left": 3, "kidney_cyst_left": 23, "shoulder_girdle": 216}
COLOURS = {
    "liver": (141, 50, 48), "kidney_right": (231, 141, 5), "kidney_left": (40, 163, 252),
    "kidney_cyst_left": (180, 230, 237), "shoulder_girdle": (90, 90, 200),
}  # fmt: skip
TITLES = {
    "liver": "Liver", "kidney_right": "Right kidney", "kidney_left": "Left kidney",
    "kidney_cyst_left": "Cysts of the left kidney", "shoulder_girdle": "Shoulder girdle",
}  # fmt: skip
_MEASURED = "id,name,title,state,reason,volume_ml,centre_r_mm,centre_a_mm,centre_s_mm,voxels,parts"
_FINDING = "name,label,organ,side,state,score,spread_low,spread_high,absent_below,present_from,size_mm,reason"


def write_result(folder: Path, labels: np.ndarray, affine: np.ndarray, heat: np.ndarray | None = None) -> Path:
    """Write a result.

    Args:
        folder: made here.
        labels: `(i, j, k)` uint8 with values of `IDS`.
        affine: `(4, 4)` index to RAS, mm.
        heat: saliency of a mass in the left kidney, `(i, j, k)` float32.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    write_nifti(folder / "segmentation.nii.gz", labels)
    files = {"segmentation.nii.gz": "", "segmentation.json": "", "measurements.csv": "", "findings.csv": ""}
    if heat is not None:
        write_nifti(folder / "saliency_renal_mass_kidney_left.nii.gz", heat)
        files["saliency_renal_mass_kidney_left.nii.gz"] = ""
    table = {"schema": "medfm.labels.v1", "file": "segmentation.nii.gz", "labels": [_label(name) for name in IDS]}
    (folder / "segmentation.json").write_text(json.dumps(table))
    structures = {name: _structure(name, labels, affine) for name in IDS}
    rows = [
        f"{IDS[name]},{name},{TITLES[name]},{s['state']},,{s.get('volume_ml', '')},"
        f"{','.join(map(str, s.get('centre_ras_mm', ['', '', ''])))},{s.get('voxels', '')},"
        for name, s in structures.items()
    ]
    (folder / "measurements.csv").write_text("\n".join([_MEASURED, *rows]) + "\n")
    findings = [
        "renal_mass,Renal mass,kidney_left,left,present,0.81,0.6,0.9,0.2,0.5,,",
        'steatosis,Hepatic steatosis,liver,,absent,0.04,0.01,0.1,0.2,0.5,,"Half, a remark; with marks."',
    ]
    (folder / "findings.csv").write_text("\n".join([_FINDING, *findings]) + "\n")
    manifest = {
        "schema": "medfm.analysis.v1",
        "medfm": "0.1.0",
        "notice": "Research use only.",
        "created": "2026-01-01T00:00:00+00:00",
        "input": {"shape": list(labels.shape), "affine_ras": affine.tolist(), "voxels_sha256": "0" * 64},
        "model": {"id": "organ-segmenter-tiny.v2"},
        "run": {"device": "cpu"},
        "findings": {"model": {"id": "totalfm-tiny.v2"}},
        "warnings": [],
        "structures": structures,
        "files": files,
    }
    (folder / "analysis.json").write_text(json.dumps(manifest))
    return folder


def write_nifti(path: Path, voxels: np.ndarray) -> None:
    """NIfTI-1 without a position: the manifest has it."""
    header = np.zeros(352, np.uint8)
    header[:4] = np.frombuffer(np.int32(348).tobytes(), np.uint8)
    header[40:48] = np.frombuffer(np.array([3, *voxels.shape], "<i2").tobytes(), np.uint8)
    code = {"uint8": 2, "float32": 16}[voxels.dtype.name]
    header[70:74] = np.frombuffer(np.array([code, 8 * voxels.itemsize], "<i2").tobytes(), np.uint8)
    header[108:112] = np.frombuffer(np.float32(352).tobytes(), np.uint8)
    header[344:348] = np.frombuffer(b"n+1\0", np.uint8)
    path.write_bytes(gzip.compress(header.tobytes() + voxels.tobytes(order="F"), 1))


def _label(name: str) -> dict:
    value, meaning, side = _SCT[name]
    lesion = "cyst" in name
    return {
        "id": IDS[name],
        "name": name,
        "title": TITLES[name],
        "state": "present",
        "colour": COLOURS[name],
        "code": value and {"scheme": "SCT", "value": value, "meaning": meaning},
        "laterality": side and {"scheme": "SCT", "value": side[0], "meaning": side[1]},
        "region": {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"} if lesion else None,
        "category": {"scheme": "SCT", "value": "49755003", "meaning": "Morphologically Abnormal Structure"}
        if lesion
        else {"scheme": "SCT", "value": "91723000", "meaning": "Anatomical Structure"},
        "parts": [],
    }


def _structure(name: str, labels: np.ndarray, affine: np.ndarray) -> dict:
    inside = np.argwhere(labels == IDS[name])
    if not len(inside):
        return {"id": IDS[name], "state": "outside"}
    centre = affine[:3, :3] @ inside.mean(0) + affine[:3, 3]
    volume = len(inside) * abs(np.linalg.det(affine[:3, :3])) / 1000
    return {
        "id": IDS[name],
        "state": "present",
        "volume_ml": volume,
        "voxels": len(inside),
        "centre_ras_mm": list(centre),
    }
