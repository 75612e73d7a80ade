"""A made-up CT whose organs are told by their HU, and a stand-in for the network that reads them off.

With these the whole pipeline runs in a second and every number is known. Heights follow ordinary anatomy, zero at the
lower edge of the twelfth thoracic vertebra.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.geometry import Affine
from medfm_core.progress import SILENT, Progress
from medfm_core.segmentation import Segmentation
from medfm_core.settings import read_settings
from medfm_core.volume import Kind, Volume

SHAPE, SPACING_MM = (72, 54, 76), 5.0
ORIGIN_RAS_MM = (177.5, 132.5, -117.5)
CARD_ID = "fake-organs.v1"
WEIGHTS = b"no weights: the organs are told by their HU"

# name: HU, centre (right, anterior, superior) mm, half axes mm
ORGANS: dict[str, tuple[int, tuple[float, float, float], tuple[float, float, float]]] = {
    "lung_lower_lobe_right": (-850, (75, 10, 110), (48, 70, 95)),
    "lung_lower_lobe_left": (-851, (-75, 10, 110), (48, 70, 95)),
    "heart": (160, (-15, 45, 120), (45, 40, 45)),
    "liver": (100, (70, 20, 20), (70, 60, 70)),
    "spleen": (112, (-95, -25, 25), (25, 35, 45)),
    "kidney_right": (150, (60, -50, -45), (25, 25, 50)),
    "kidney_left": (151, (-60, -50, -35), (25, 25, 50)),
    "vertebrae": (400, (0, -70, 40), (20, 20, 1e4)),
    "aorta": (200, (-12, -35, 50), (12, 12, 150)),
}
MISSING = ("gallbladder", "urinary_bladder")
COVERED = (*ORGANS, *MISSING)


def make_ct(codes: str = "LPS") -> Volume:
    """The CT: a body of soft tissue in a layer of fat in air, with `ORGANS` in it, as int16."""
    from medfm_core.volume import reorient

    axes = [o + s * np.arange(n) for o, s, n in zip(ORIGIN_RAS_MM, (-5.0, -5.0, 5.0), SHAPE, strict=True)]
    right, front, up = np.meshgrid(*axes, indexing="ij")
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels += np.random.default_rng(3).integers(-15, 16, SHAPE, dtype=np.int16)
    voxels[(right / 165) ** 2 + (front / 112) ** 2 < 1] = -100
    voxels[(right / 150) ** 2 + (front / 98) ** 2 < 1] = 40
    for hu, centre, half in ORGANS.values():
        inside = sum(((axis - c) / h) ** 2 for axis, c, h in zip((right, front, up), centre, half, strict=True))
        voxels[inside < 1] = hu
    matrix = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    matrix[:3, 3] = ORIGIN_RAS_MM
    return reorient(Volume(voxels, Affine(matrix), modality="CT", meta={"format": "made up", "warnings": ()}), codes)


def save_ct(path: Path, volume: Volume | None = None) -> Path:
    """Write a volume as NIfTI."""
    volume = volume or make_ct()
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(volume.voxels), volume.affine.matrix), path)
    return path


def card_data() -> dict[str, Any]:
    """The stand-in's model card as JSON data."""
    return {
        "id": CARD_ID,
        "task": "organ_segmentation",
        "title": "Stand-in <for tests>",
        "default": True,
        "architecture": {"name": "segresnet", "out_channels": len(COVERED) + 1},
        "weights": [{"file": "w.safetensors", "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "bytes": len(WEIGHTS)}],
        "source": {"kind": "file", "path": "."},
        "input": {
            "modality": ["CT"],
            "spacing_mm": [3, 3, 3],
            "intensity": {"kind": "clip_scale", "hu": [-1000, 1000], "to": [-1, 1]},
        },
        "labels": {str(channel): name for channel, name in enumerate(COVERED, start=1)},
        "licence": "Apache-2.0",
        "trained_on": ["nothing"],
        "measured": [{"on": "made-up CTs", "metric": "dice", "values": {"liver": 0.91, "spleen": 0.87}}],
        "intended_use": "tests only",
        "limits": ["anything that is not made up"],
    }


def install(folder: Path, set_variable: Callable[[str, str], None]) -> None:
    """Make a Resources folder with the vocabulary and the stand-in's card, and let the settings point there."""
    vocabulary = read_settings().resources / "vocabulary"
    shutil.copytree(vocabulary, folder / "vocabulary")
    (folder / "cards").mkdir()
    (folder / "cards" / f"{CARD_ID}.json").write_text(json.dumps(card_data()), encoding="utf-8")
    (folder / "cards" / "w.safetensors").write_bytes(WEIGHTS)
    set_variable("MEDFM_RESOURCES", str(folder))


class LoadingPredictor:
    """Takes the place of `medfm_core.segmentation.LoadingPredictor`, with nothing to load."""

    def __init__(self, card: ModelCard, device: str = "auto", **settings: Any) -> None:
        self._card = card

    def __call__(self, volume: Volume, progress: Progress = SILENT) -> Segmentation:
        """Read the organs off their HU."""
        return segment(volume, self._card, progress)


def segment(volume: Volume, card: ModelCard, progress: Progress = SILENT) -> Segmentation:
    """Read the organs off their HU."""
    vocabulary = load_vocabulary()
    labels = np.zeros(volume.shape, np.uint8)
    with progress.stage("organs", len(ORGANS)) as stage:
        for name, (hu, *_) in ORGANS.items():
            labels[volume.voxels == hu] = vocabulary.by_name(name).id
            stage.advance()
    made = Volume(labels, volume.affine, Kind.LABEL, volume.modality, volume.meta)
    return Segmentation(made, card, card.classes, "cpu", "fp32", {"network": 0.01})
