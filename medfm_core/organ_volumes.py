"""Organ volumes: one crop per organ, as models that look at one organ at a time take them.

A scan and its label map are brought onto the model's grid once (`to_organ_grid`), every organ's box is found
(`find_boxes`), and each box becomes a tensor (`organ_tensor`). Training and inference call the same three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.brightest import brightest
from medfm_core.card_inputs import InputSpec, OrganCrop
from medfm_core.errors import InputError
from medfm_core.geometry import Grid
from medfm_core.organ_boxes import OrganBox, find_boxes, label_ids
from medfm_core.preprocessing import to_channels
from medfm_core.volume import Kind, Volume, foreground_box, reorient, resample, resample_to

if TYPE_CHECKING:
    import torch

OUTSIDE_HU = -1000.0
SIZE_FEATURES = 4
_USUAL_MM = 100.0
_USUAL_ML = 100.0


@dataclass(frozen=True, eq=False)
class OrganVolume:
    """One organ, ready for the encoder.

    Attributes:
        box: which organ, and where it lies on the model's grid.
        voxels: `(C, D, H, W)` float32.
        size: what `organ_size` says of it, `(4 + Q,)` float32.
        grid: where the voxels lie in the patient; its axes run in the order W, H, D.
    """

    box: OrganBox
    voxels: torch.Tensor
    size: torch.Tensor
    grid: Grid


def to_organ_grid(volume: Volume, spec: InputSpec) -> Volume:
    """Bring a scan or a label map onto the grid on which organs are cut out.

    Args:
        volume: a CT in HU, or labels.
        spec: the card's `input` entry.

    Returns:
        Array axes as `spec.orientation` says; float32 HU, or labels in their own type.

    Source: TotalFM spec, section 1.5, steps 1 and 2; the orientation is ours, the release takes scans as they come.
    """
    oriented = reorient(volume, spec.orientation) if spec.orientation else volume
    if spec.spacing_mm is None:
        return oriented
    wanted = np.array(spec.spacing_mm)
    if spec.spacing_rule == "at_least":
        wanted = np.maximum(wanted, oriented.spacing)
    if np.allclose(wanted, oriented.spacing, rtol=1e-3):
        return oriented
    if spec.resampling == "antialiased":
        return resample(oriented, wanted)
    return resample_to(oriented, _from_first_voxel(oriented, wanted), fill=_outside(oriented), antialias=False)


def organ_volumes(
    image: Volume, labels: Volume, spec: InputSpec, units: Iterable[str] | None = None
) -> Iterator[OrganVolume]:
    """Cut all organs, or some, out of a scan.

    Args:
        image: a CT in HU.
        labels: the vocabulary's numbers, on any grid of the same patient.
        spec: the card's `input` entry; `organs` and `size` must be there.
        units: names of units; None for all that are in the label map.

    Yields:
        One organ volume per unit and section, in the card's order.

    Raises:
        InputError: the card does not cut out organs, or a unit is not one of the card's.
    """
    crop = _crop_of(spec)
    on_grid = to_organ_grid(image, spec)
    where = resample_to(labels, on_grid.grid)
    for box in find_boxes(where, crop, units):
        yield cut_organ(on_grid, where, box, spec)


def cut_organ(image: Volume, labels: Volume, box: OrganBox, spec: InputSpec) -> OrganVolume:
    """Cut one organ out of a scan on the model's grid.

    Args:
        image: from `to_organ_grid`.
        labels: on the same grid.
        box: from `find_boxes`.
        spec: the card's `input` entry.
    """
    import torch

    place = tuple(slice(a, b) for a, b in zip(box.start, box.stop, strict=True))
    hu = np.ascontiguousarray(image.voxels[place].transpose(2, 1, 0), dtype=np.float32)
    mask = np.isin(labels.voxels[place].transpose(2, 1, 0), label_ids(box.members))
    voxels = organ_tensor(torch.from_numpy(hu), torch.from_numpy(mask), spec)
    return OrganVolume(box, voxels, organ_size(hu, mask, image.spacing[::-1], spec), box_grid(image, box, spec.size))


def organ_tensor(hu: torch.Tensor, mask: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Turn a crop into the encoder's input: windows first, then the size.

    Args:
        hu: `(D, H, W)` float32.
        mask: `(D, H, W)` bool, the organ.
        spec: the card's `input` entry.

    Returns:
        `(C, *spec.size)` float32: the windows; where the card wants extremes, the windows of the brightest and then of
        the darkest HU in each voxel's share of the crop; where it wants the mask, that as the last channel.

    Source: TotalFM spec, section 1.5, steps 4 and 5; the mask and the extremes are ours.
    """
    import torch

    channels = to_channels(hu, spec.intensity)
    if spec.organs.mask:
        channels = torch.cat([channels, mask.to(channels.dtype)[None]])
    shrunken = torch.nn.functional.interpolate(channels[None], size=spec.size, mode="trilinear", align_corners=False)[0]
    if not spec.organs.extremes:
        return shrunken
    windows = len(channels) - spec.organs.mask
    return torch.cat([shrunken[:windows], *_extremes(hu, spec), shrunken[windows:]])


def channels_of(spec: InputSpec) -> int:
    """How many channels an organ's tensor has."""
    windows = len(spec.intensity.windows or ("one",))
    return windows * (3 if spec.organs.extremes else 1) + spec.organs.mask


def _extremes(hu: torch.Tensor, spec: InputSpec) -> list[torch.Tensor]:
    """The windows of the brightest and of the darkest HU, two times `(windows, *spec.size)`."""
    values = brightest(hu, spec.size), -brightest(-hu, spec.size)
    return [to_channels(one, spec.intensity) for one in values]


def organ_size(hu: np.ndarray, mask: np.ndarray, spacing_mm: Iterable[float], spec: InputSpec) -> torch.Tensor:
    """Say how big an organ is and, where the card wants it, how dense.

    Args:
        hu: the crop, `(D, H, W)` float32.
        mask: the organ, `(D, H, W)` bool.
        spacing_mm: of its axes.
        spec: the card's `input` entry.

    Returns:
        `(4 + Q,)` float32: `size_of`, then `densities_of`; `Q` is `size_features(spec) - 4`.
    """
    import torch

    return torch.cat([size_of(mask, spacing_mm), densities_of(hu, mask, spec)])


def size_features(spec: InputSpec) -> int:
    """How many numbers `organ_size` gives."""
    return SIZE_FEATURES + len(spec.intensity.windows or ("one",)) * len(spec.organs.densities)


def densities_of(hu: np.ndarray, mask: np.ndarray, spec: InputSpec) -> torch.Tensor:
    """Quantiles of an organ's HU, each through every window.

    A stone or a rim of calcium is a handful of voxels of an organ, and emphysema a shift of its darkest ones: in a
    small picture both are gone, in the quantiles they are plain to see.

    Args:
        hu: the crop, `(D, H, W)` float32.
        mask: the organ, `(D, H, W)` bool.
        spec: the card's `input` entry.

    Returns:
        `(Q,)` float32, windows one after the other, from -1 to 1 where the windows run from 0 to 1; of the whole crop
        where the mask is empty.
    """
    import torch

    if not spec.organs.densities:
        return torch.zeros(0)
    inside = hu[mask] if mask.any() else hu.ravel()
    values = np.quantile(inside, spec.organs.densities).astype(np.float32)
    return 2 * to_channels(torch.from_numpy(values)[None, None], spec.intensity).flatten() - 1


def size_of(mask: np.ndarray, spacing_mm: Iterable[float]) -> torch.Tensor:
    """Say how big an organ is.

    Args:
        mask: the organ, `(D, H, W)` bool, on the model's grid.
        spacing_mm: of its axes.

    Returns:
        `(4,)` float32: log of its extent along D, H, W over 100 mm, and of its volume over 100 mL; of one voxel where
        there is none.
    """
    import torch

    box = foreground_box(mask) or ((0, 0, 0), (1, 1, 1))
    spacing = np.array(tuple(spacing_mm))
    extent_mm = (np.array(box[1]) - np.array(box[0])) * spacing
    millilitres = max(int(mask.sum()), 1) * float(spacing.prod()) / 1000
    values = [*(extent_mm / _USUAL_MM), millilitres / _USUAL_ML]
    return torch.tensor([math.log(value) for value in values], dtype=torch.float32)


def box_grid(image: Volume, box: OrganBox, size: tuple[int, int, int]) -> Grid:
    """Where the voxels of an organ volume lie in the patient.

    Args:
        image: the scan on the model's grid.
        box: which part of it.
        size: voxels of the organ volume along D, H, W.

    Returns:
        A grid whose axes run along W, H, D: the array `voxels[c].transpose(2, 1, 0)` lies on it.
    """
    shape = tuple(reversed(size))
    sides = np.array(box.stop) - np.array(box.start)
    scale = sides / np.array(shape)
    step = np.diag([*scale, 1.0])
    step[:3, 3] = np.array(box.start) + (scale - 1) / 2
    return Grid(shape, image.affine @ step)


def _crop_of(spec: InputSpec) -> OrganCrop:
    if spec.organs is None:
        raise InputError("the model does not look at organs one by one", "choose a model whose card has input.organs")
    return spec.organs


def _outside(volume: Volume) -> float:
    return 0.0 if volume.kind is Kind.LABEL else OUTSIDE_HU


def _from_first_voxel(volume: Volume, spacing_mm: np.ndarray) -> Grid:
    """The grid of another spacing whose first voxel lies where the volume's does, as ITK's users resample."""
    scale = spacing_mm / np.array(volume.spacing)
    shape = np.maximum(1, np.round(np.array(volume.shape) / scale)).astype(int)
    return Grid(tuple(shape.tolist()), volume.affine @ np.diag([*scale, 1.0]))
