"""What is known of CT without learning, applied to a net's labels; a card's `inference.refine` names the rules.

A rule may only correct what Hounsfield units leave no doubt of. Each is measured like the net itself: the figures of a
card are those of net and rules together. A rule first looks at the image, which can be done while the net still loads,
and is then called with the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from medfm_core.body import body_mask
from medfm_core.volume import Volume, foreground_box

LOBES = (10, 11, 12, 13, 14)
TRACHEA = 16
_IS_LOBE = np.isin(np.arange(256), LOBES)
_IS_AIRWAY = np.isin(np.arange(256), (*LOBES, TRACHEA))
_LUNG_AIR_HU = -500.0
_LEAST_SHARE = 0.3
_COARSE_MM = 3.0
_BODY_MM = 4.0


class KeepBody:
    """Clears labels outside the body: a table's edge is no rib, its hollow no lung.

    The body is closed slice by slice across every axis, and what the net mostly calls lung belongs to it where the scan
    cuts the chest wall away. Other labels may reach a little beyond, for skin and borders. Lungs may not: the chest
    wall lies around them. So their labels are cleared in the air outside, at the skin, and in an air gap that the body
    closes in some slices but that leads outside, as between an arm and the trunk.

    Args:
        image: a CT in HU.
    """

    def __init__(self, image: Volume) -> None:
        self._body, self._steps = body_mask(image, _BODY_MM)
        self._closed = self._body.copy()
        for axis in range(3):
            for plane in np.moveaxis(self._closed, axis, 0):
                plane |= ndimage.binary_fill_holes(plane)
        i, j, k = self._steps
        air = image.voxels[::i, ::j, ::k] < _LUNG_AIR_HU
        self._open_air, self._gaps = _Pieces(air & ~self._closed), _Pieces(air & self._closed)

    def __call__(self, labels: np.ndarray) -> None:
        """Clear labels in place, vocabulary ids on the image's grid, `(I, J, K)` uint8."""
        if not self._body.any():
            return
        i, j, k = self._steps
        is_airway = _IS_AIRWAY[labels[::i, ::j, ::k]]
        lung = self._open_air.mostly(is_airway)
        outside = self._open_air.mask & ~lung
        gap = self._gaps.mask & ~self._gaps.mostly(is_airway)
        outside |= self._gaps.touching(_grown(outside)) & gap
        kept = _grown(self._closed | lung)
        allowed = kept.view(np.uint8) | (2 * (kept & ~_grown(outside)).view(np.uint8))  # bit 1: organs, bit 2: lungs
        wanted = np.where(_IS_LOBE, 2, 1).astype(np.uint8)
        for index in range(labels.shape[2]):
            plane = labels[:, :, index].T
            here = allowed[:, :, index // k].T.repeat(j, axis=0).repeat(i, axis=1)[: plane.shape[0], : plane.shape[1]]
            plane *= (wanted[plane] & here) != 0


class FillLungs:
    """Gives the rest of a lung to its nearest lobe.

    A connected piece of air-like tissue of which the net called at least 30 % lung is lung to its border; airways keep
    their label, and gas of the bowel or outside the body is another piece.

    Args:
        image: a CT in HU.
    """

    def __init__(self, image: Volume) -> None:
        self._voxels = image.voxels
        self._steps = tuple(max(1, round(_COARSE_MM / s)) for s in image.affine.spacing)
        i, j, k = self._steps
        self._air = _Pieces(image.voxels[::i, ::j, ::k] < _LUNG_AIR_HU)

    def __call__(self, labels: np.ndarray) -> None:
        """Fill in place, vocabulary ids on the image's grid, `(I, J, K)` uint8."""
        i, j, k = self._steps
        coarse = labels[::i, ::j, ::k]
        is_lobe = _IS_LOBE[coarse]
        missed = self._air.mostly(is_lobe) & ~_IS_AIRWAY[coarse]
        if not missed.any():
            return
        start, stop = foreground_box(missed | is_lobe)
        box = tuple(slice(max(0, a - 1), b + 1) for a, b in zip(start, stop, strict=True))
        coarse, is_lobe, missed = coarse[box], is_lobe[box], missed[box]
        nearest = ndimage.distance_transform_edt(~is_lobe, return_distances=False, return_indices=True)
        rim = _grown(missed) & ~missed  # the coarse grid steps over the last voxels of a border
        for cells, free in ((missed, ~_IS_AIRWAY), (rim, np.arange(256) == 0)):
            where = np.argwhere(cells)
            lobes = coarse[tuple(nearest[axis][cells] for axis in range(3))]
            self._paint(labels, where + [part.start for part in box], lobes, free)

    def _paint(self, labels: np.ndarray, cells: np.ndarray, lobes: np.ndarray, free: np.ndarray) -> None:
        """Give the air-like voxels of coarse cells `(n, 3)` to lobes `(n,)` where `free[label]` allows it."""
        within = np.indices(self._steps).reshape(3, 1, -1)
        place = (cells.T[:, :, None] * np.reshape(self._steps, (3, 1, 1)) + within).reshape(3, -1)
        lobes = np.repeat(lobes, within.shape[2])
        inside = (place < np.reshape(labels.shape, (3, 1))).all(axis=0)
        place, lobes = tuple(place[:, inside]), lobes[inside]
        change = free[labels[place]] & (self._voxels[place] < _LUNG_AIR_HU)
        labels[tuple(axis[change] for axis in place)] = lobes[change]


class _Pieces:
    """The connected pieces of a mask.

    Args:
        mask: `(I, J, K)` bool.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self._number, count = ndimage.label(mask)
        self._sizes = np.bincount(self._number.ravel(order="K"), minlength=count + 1)

    def mostly(self, other: np.ndarray) -> np.ndarray:
        """The pieces of which at least 30 % lie in another mask, as a mask."""
        chosen = np.bincount(self._number[other], minlength=len(self._sizes)) >= _LEAST_SHARE * self._sizes
        chosen[0] = False
        return chosen[self._number]

    def touching(self, other: np.ndarray) -> np.ndarray:
        """The pieces of which any voxel lies in another mask, as a mask."""
        chosen = np.zeros(len(self._sizes), bool)
        chosen[self._number[other]] = True
        chosen[0] = False
        return chosen[self._number]


def _grown(mask: np.ndarray) -> np.ndarray:
    """A mask and the 26 neighbours of each of its voxels."""
    for axis in range(3):
        grown = mask.copy(order="K")
        source, target = mask.swapaxes(0, axis), grown.swapaxes(0, axis)
        target[1:] |= source[:-1]
        target[:-1] |= source[1:]
        mask = grown
    return mask


RULES: Mapping[str, Callable[[Volume], Callable[[np.ndarray], None]]] = {"keep_body": KeepBody, "fill_lungs": FillLungs}
