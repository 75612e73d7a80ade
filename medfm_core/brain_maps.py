"""What a brain encoder says of patches, brought back to the scan's own grid. No torch here."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from medfm_core.brain_encoding import BlockRouting, EncodedBrain
from medfm_core.errors import GeometryError
from medfm_core.geometry import Affine
from medfm_core.volume import Kind, Volume, resample_to

_GOLDEN = 0.618034  # of the circle of hues: neighbours in number are far apart in colour


def patch_lattice(encoded: EncodedBrain, values: np.ndarray, to_scan: np.ndarray | None = None) -> Volume:
    """A volume whose voxels are the patches, where they lie in the patient.

    Args:
        encoded: the scan.
        values: one per patch, `(N,)` or of the grid's shape; integers become labels.
        to_scan: `(4, 4)` from the space in which the scan was encoded to the scan's own, RAS+ mm; None where they are
            one.

    Raises:
        GeometryError: there are not as many values as patches.
    """
    if values.size != int(np.prod(encoded.grid)):
        raise GeometryError(f"{values.size} values do not fit {encoded.grid} patches")
    sides = np.array(encoded.box.shape) / np.array(encoded.grid)
    step = np.diag([*sides, 1.0])
    step[:3, 3] = (sides - 1) / 2
    affine = encoded.box.affine @ step
    if to_scan is not None:
        affine = Affine(to_scan @ affine.matrix)
    is_label = values.dtype.kind in "bui"
    kept = values.astype(np.uint8 if is_label else np.float32).reshape(encoded.grid)
    return Volume(kept, affine, Kind.LABEL if is_label else Kind.IMAGE)


def heat_on_scan(encoded: EncodedBrain, heat: np.ndarray, scan: Volume, to_scan: np.ndarray | None = None) -> Volume:
    """Interpolate a map over patches between their centres, on the scan's grid.

    Args:
        encoded: the scan.
        heat: per patch, at least 0, of the grid's shape.
        scan: as it was read; the result lies on its grid exactly and carries what places it in its file.
        to_scan: see `patch_lattice`.

    Returns:
        float32, 0 outside the box that was encoded; with three decimals, which packs into a third.
    """
    patches = patch_lattice(encoded, np.asarray(heat, np.float32), to_scan)
    placed = resample_to(patches, scan.grid, fill=0.0, antialias=False)
    return replace(scan, voxels=np.asfortranarray(placed.voxels.round(3)), kind=Kind.IMAGE, modality=None)


def routing_on_scan(
    encoded: EncodedBrain, routing: BlockRouting, scan: Volume, to_scan: np.ndarray | None = None
) -> Volume:
    """Paint each voxel with the expert that counts most for its patch.

    Args:
        encoded: the scan.
        routing: of one block.
        scan: as it was read.
        to_scan: see `patch_lattice`.

    Returns:
        Labels on the scan's grid: 0 outside the box that was encoded, expert e as e + 1.
    """
    patches = patch_lattice(encoded, (routing.first + 1).astype(np.uint8), to_scan)
    placed = resample_to(patches, scan.grid)
    return replace(scan, voxels=np.asfortranarray(placed.voxels), kind=Kind.LABEL, modality=None)


def tissue_patches(encoded: EncodedBrain, threshold: float = 0.1) -> np.ndarray:
    """Which patches show the brain rather than what lies around it, `(N,)` bool.

    Args:
        encoded: the scan.
        threshold: share of a patch's voxels above a twentieth of the box's range, or other than 0 where the box is
            centred, from which on it counts.
    """
    voxels = np.asarray(encoded.box.voxels, np.float32)
    low, high = np.quantile(voxels, (0.02, 0.98))
    bright = voxels != 0 if encoded.is_centred else voxels > low + 0.05 * (high - low)
    sides = [n // g for n, g in zip(voxels.shape, encoded.grid, strict=True)]
    blocks = bright.reshape(encoded.grid[0], sides[0], encoded.grid[1], sides[1], encoded.grid[2], sides[2])
    return blocks.mean(axis=(1, 3, 5)).ravel() >= threshold


def expert_shares(routing: BlockRouting, patches: np.ndarray) -> np.ndarray:
    """Share of patches for which each expert counts most, `(E,)`; 0 where no patch is given.

    Args:
        routing: of one block.
        patches: which count, `(N,)` bool.
    """
    counts = np.bincount(routing.first[patches], minlength=routing.experts)
    return counts / max(int(patches.sum()), 1)


def expert_colours(experts: int) -> tuple[tuple[int, int, int], ...]:
    """A colour for each expert, red, green, blue from 0 to 255; of two in a row, hue and lightness differ."""
    made = []
    for number in range(experts):
        red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN % 1, (0.5, 0.66, 0.38)[number % 3], 0.8)
        made.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(made)
