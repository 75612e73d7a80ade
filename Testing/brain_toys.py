"""A tiny Neuro-JEPA with random weights as an installed model card, and brains for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel
import numpy as np
import torch
from safetensors.torch import save_file

from medfm_core.geometry import Affine
from medfm_core.layers.mixture_of_experts import MixtureConfig
from medfm_core.models.neuro_jepa import NeuroJepaConfig, NeuroJepaEncoder
from medfm_core.strict import to_dict
from medfm_core.volume import Volume

MIXTURE = MixtureConfig(experts=4, active=2, expert_width=8, shared_width=16)
CONFIG = NeuroJepaConfig(
    image_size=(36, 48, 36), width=24, depth=4, heads=2, mlp_width=48, expert_blocks=(1, 3), mixture=MIXTURE
)
INPUT = {
    "modality": ["MR"], "orientation": "SAR", "spacing_mm": [3.0, 3.0, 3.0], "size": [40, 52, 40],
    "intensity": {"kind": "percentiles", "percentiles": [0.5, 99.5], "to": [0, 1]},
    "sequences": ["T1w", "T2w", "FLAIR"], "regions": ["head"],
}  # fmt: skip


_BLOBS = (
    (0.5, 0.3, 0.2), (-0.5, 0.4, -0.2), (0.4, -0.5, 0.3), (-0.45, -0.5, -0.1), (0, 0.6, 0.3), (0, -0.4, -0.5),
    (0.4, 0, -0.45),
)  # fmt: skip


def toy_encoder(seed: int = 0) -> NeuroJepaEncoder:
    """Random weights, larger than at the start of a training, so that tokens differ."""
    torch.manual_seed(seed)
    encoder = NeuroJepaEncoder(CONFIG).eval().requires_grad_(False)
    for value in encoder.parameters():
        if value.ndim > 1:
            value.mul_(4)
    return encoder


def brain_card(folder: Path, name: str = "toy-brain.v1") -> Path:
    """Write weights and card into a Resources folder; returns the card's path."""
    weights = folder / "weights" / f"{name}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in toy_encoder().state_dict().items()}, weights)
    data = weights.read_bytes()
    card = {
        "id": name, "task": "brain_embedding", "architecture": {"name": "neuro_jepa", **to_dict(CONFIG, defaults=True)},
        "weights": [{"file": weights.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}],
        "source": {"kind": "file", "path": "../weights"}, "input": INPUT, "licence": "Apache-2.0",
        "trained_on": ["nothing"], "intended_use": "tests",
    }  # fmt: skip
    path = folder / "cards" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card))
    return path


def toy_brain(matrix: np.ndarray | None = None, shape=(52, 66, 56), step_mm=3.0, seed=0) -> Volume:
    """A lopsided ellipsoid with two dark ventricles, where MNI space has the brain; 0 around it.

    Args:
        matrix: `(4, 4)`, moves it in the world; None to leave it.
        shape: voxels.
        step_mm: spacing.
        seed: of its texture.
    """
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = np.array([0, -17, 4]) - np.array(shape) * step_mm / 2
    place = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) @ affine[:3, :3] + affine[:3, 3]
    x, y, z = ((place - [0, -17, 4]) / [68, 86, 72]).transpose(3, 0, 1, 2)
    radius = x**2 + y**2 * (1 + 0.2 * z) + z**2 * (1 + 0.3 * (z < 0))
    voxels = np.where(radius < 1, 600 - 250 * radius + 60 * y, 0.0)
    for side, size in ((-0.15, 0.03), (0.2, 0.015)):
        voxels[((x - side) ** 2 + (y / 2) ** 2 + (z - 0.1) ** 2) < size] = 120
    for number, middle in enumerate(_BLOBS):
        voxels[((x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2) < 0.04] = 200 + 60 * number
    voxels += (radius < 1) * np.random.default_rng(seed).normal(0, 8, shape)
    placed = affine if matrix is None else matrix @ affine
    return Volume(voxels.clip(0).astype(np.float32), Affine(placed), modality="MR")


def save_brains(folder: Path) -> None:
    """Write `p1_T1w`, `p1_FLAIR` (another grid), and `volume`, whose name says nothing, as NIfTI."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    for name, scan in (("p1_T1w", toy_brain()), ("p1_FLAIR", toy_brain(turn, seed=3)), ("volume", toy_brain(seed=5))):
        image = nibabel.Nifti1Image(np.ascontiguousarray(scan.voxels), scan.affine.matrix)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / f"{name}.nii.gz")
