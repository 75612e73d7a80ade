"""Heads out of label maps with FreeSurfer's numbers, looked up at the places that a person's space says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.volume import reorient
from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.parts import BRAIN, FLUID, Part, part_of_number
from training.synthetic.brain.space import CENTRE, HeadSpace

_CORNERS = tuple((a, b, c) for a in (-0.25, 0.25) for b in (-0.25, 0.25) for c in (-0.25, 0.25))
_LEAST_BRAIN_ML = 300.0


@dataclass(frozen=True, eq=False)
class LabelledHead:
    """A label map as parts.

    Attributes:
        parts: `(I, J, K)` uint8, axes to the right, front and top.
        spacing: mm.
        middle: index of the middle of the brain's box.
        name: of its file.
    """

    parts: np.ndarray
    spacing: tuple[float, float, float]
    middle: np.ndarray
    name: str


def find_label_maps(folder: str | Path) -> tuple[Path, ...]:
    """List the label maps of a folder: NIfTI files, by name.

    Raises:
        InputError: there are none.
    """
    paths = tuple(sorted(path for path in Path(folder).glob("*.nii*") if path.is_file()))
    if not paths:
        raise InputError(f"no label maps (.nii, .nii.gz) lie in {folder}", "check the folder, or leave the option off")
    return paths


@lru_cache(maxsize=8)
def read_head(path: str | Path) -> LabelledHead:
    """Read a label map of a head.

    Raises:
        InputError: it cannot be read, or holds no brain by FreeSurfer's numbers.
    """
    volume = reorient(read_volume(Path(path)), "RAS")
    numbers = np.rint(volume.voxels).astype(np.int32)
    if numbers.min() < 0 or numbers.max() >= 1000:
        raise InputError(f"{path} is no label map with FreeSurfer's numbers", "its values must lie in 0 to 999")
    parts = np.ascontiguousarray(part_of_number()[numbers])
    brain = np.isin(parts, [part for part in BRAIN if part not in FLUID])
    if brain.sum() * np.prod(volume.spacing) / 1000 < _LEAST_BRAIN_ML:
        raise InputError(f"{path} holds hardly any brain", "give label maps with FreeSurfer's numbers")
    ends = [np.flatnonzero(brain.any(axis=tuple(b for b in range(3) if b != a)))[[0, -1]] for a in range(3)]
    middle = np.array([(low + high) / 2 for low, high in ends])
    return LabelledHead(parts, volume.spacing, middle, Path(path).name)


def labelled_head(head: LabelledHead, space: HeadSpace, mirrored: bool) -> Fractions:
    """Look up a head.

    Args:
        head: the label map.
        space: where the voxels lie.
        mirrored: whether left and right are exchanged.
    """
    tissue = Fractions(space.shape, min(space.spacing))
    tissue.shares[Part.AIR] = 0
    places = [
        (source - np.float32(centre)) / np.float32(step) + np.float32(middle)
        for source, centre, step, middle in zip(space.sources, CENTRE, head.spacing, head.middle, strict=True)
    ]
    if mirrored:
        places[0] = np.float32(2 * head.middle[0]) - places[0]
    for corner in _CORNERS:
        at = [
            place + np.float32(share * step / own)
            for place, share, step, own in zip(places, corner, space.spacing, head.spacing, strict=True)
        ]
        found = ndimage.map_coordinates(head.parts, at, np.uint8, order=0, mode="constant", cval=0, prefilter=False)
        for part in np.unique(found):
            tissue.shares[part] += (found == part) * np.float32(1 / len(_CORNERS))
    return tissue
