"""Whole stored volumes through a trained segmentation, tile by tile, and back to the grid of the input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from medfm_core.card_inputs import InputSpec
from medfm_core.errors import MedFMError
from medfm_core.geometry import Affine, Grid
from medfm_core.inference.devices import Precision
from medfm_core.inference.sliding import SlidingWindow
from medfm_core.inference.tiles import Tiling
from medfm_core.io import read_volume, write_labels
from medfm_core.preprocessing import to_channels
from medfm_core.volume import Kind, Volume, resample_to
from training.data.crops import centre_start, resolved
from training.data.manifest import ManifestRow
from training.data.stored_volume import StoredVolume


class _Answers(nn.Module):
    """An objective as a net from images to logits."""

    def __init__(self, objective: nn.Module, spacing: tuple[float, ...]) -> None:
        super().__init__()
        self._objective, self._spacing = objective, spacing

    def forward(self, image: Tensor) -> Tensor:
        spacing = torch.tensor([self._spacing] * len(image), dtype=torch.float32, device=image.device)
        return self._objective.answer({"image": image, "spacing_mm": spacing})


def segment_volume(
    objective: nn.Module, volume: StoredVolume, spec: InputSpec, crop: tuple[int, int, int], classes: int
) -> np.ndarray:
    """Segment a stored volume.

    Args:
        objective: has `answer(batch) -> (B, classes, D, H, W)`, in evaluation mode.
        volume: what to segment.
        spec: how its values become channels.
        crop: voxels that the objective was trained on; tiles of this size overlap by a half.
        classes: background included.

    Returns:
        Class numbers, uint8, of the volume's shape.
    """
    size = tuple(max(length, side) for length, side in zip(volume.shape, crop, strict=True))
    start = centre_start(volume.shape, size)
    image = to_channels(
        torch.from_numpy(volume.crop(start, size)), resolved(spec.intensity_of(volume.modality), volume)
    )
    device = next(objective.parameters()).device
    window = SlidingWindow(Tiling(crop), empty_below=float("-inf"))
    net = _Answers(objective, volume.spacing)
    found = np.zeros(size, np.uint8)
    for slab in window.run(net, image, classes, Precision(), device, lambda count: None):
        part = slab.probabilities.argmax(0).numpy().astype(np.uint8)
        found[slab.start : slab.start + len(part)] = part
    inside = tuple(slice(-first, -first + length) for first, length in zip(start, volume.shape, strict=True))
    return found[inside]


def on_input_grid(answer: np.ndarray, volume: StoredVolume, row: ManifestRow) -> Volume:
    """A segmentation on the grid of the file that the volume was made of: its shape and affine, exactly.

    What the preparation cut away is background. The file itself is read where it still is, since its header says more
    than shape and affine.

    Args:
        answer: class numbers on the stored grid.
        volume: where they belong.
        row: names the file.
    """
    source = volume.facts["source"]
    grid = Grid(tuple(source["shape"]), Affine(np.array(source["affine"])))
    here = resample_to(Volume(answer, volume.affine, Kind.LABEL, volume.modality), grid, fill=0)
    try:
        original = read_volume(row.path, series=row.series or None)
    except MedFMError:
        return here
    return original.with_voxels(here.voxels, Kind.LABEL) if original.grid.same_as(grid) else here


def save_segmentation(answer: Volume, path: Path, names: Mapping[int, str]) -> None:
    """Write class numbers as NIfTI with the names of the classes; see `medfm_core.io.write_labels`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(answer, path, names)
