"""A CT made ready for the net, as far as that needs no torch: it is done while torch and the weights still load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medfm_core.cards import ModelCard
from medfm_core.errors import ModalityError
from medfm_core.geometry import Affine
from medfm_core.preprocessing import to_model_grid
from medfm_core.refinement import RULES
from medfm_core.volume import Kind, Volume, crop, reorient


@dataclass(frozen=True, eq=False)
class Scene:
    """What the net sees of a CT, and where its answer goes.

    Attributes:
        volume: the CT.
        hu: what the net sees on its own grid, `(D, H, W)` float32.
        labels: the answer on the CT's grid, `(I, J, K)` uint8, still empty.
        canvas: the part of `labels` that the net sees, a view in the order (D, H, W).
        positions: for each axis of the canvas, where its voxels lie on the net's grid.
        refine: the card's rules, which have looked at the image and wait for the labels.
    """

    volume: Volume
    hu: np.ndarray
    labels: np.ndarray
    canvas: np.ndarray
    positions: tuple[np.ndarray, np.ndarray, np.ndarray]
    refine: tuple[Callable[[np.ndarray], None], ...]


def prepare(volume: Volume, card: ModelCard) -> Scene:
    """Make a CT ready.

    Args:
        volume: a CT in HU, any orientation and spacing.
        card: the segmenter that will see it.

    Raises:
        ModalityError: the volume says that it is of a kind that the model was not made for.
    """
    if volume.modality and volume.modality not in card.input.modality:
        kinds = " or ".join(card.input.modality)
        raise ModalityError(f"{card.id} was made for {kinds}, this is {volume.modality}", "choose another --model")
    region, on_grid = to_model_grid(volume, card.input)
    hu = np.ascontiguousarray(on_grid.voxels.transpose(2, 1, 0), dtype=np.float32)
    labels = np.zeros(volume.shape, np.uint8, order="F" if volume.voxels.flags.f_contiguous else "C")
    whole = Volume(labels, volume.affine, Kind.LABEL)
    oriented = reorient(whole, card.input.orientation) if card.input.orientation else whole
    start = np.rint(oriented.affine.to_voxel(region.affine.origin[None])[0]).astype(int)
    canvas = crop(oriented, start, start + region.shape).voxels.transpose(2, 1, 0)
    rules = tuple(RULES[rule](volume) for rule in card.inference.refine)
    return Scene(volume, hu, labels, canvas, _positions(region, on_grid.affine), rules)


def _positions(region: Volume, model: Affine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a region's voxels lie on the model's grid, per axis in the order (D, H, W); both share their axes."""
    step = model.inverse() @ region.affine.matrix
    return tuple(step[axis, axis] * np.arange(region.shape[axis]) + step[axis, 3] for axis in (2, 1, 0))
