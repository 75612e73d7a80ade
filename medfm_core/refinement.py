"""What is known of CT without learning, applied to a net's labels; a card's `inference.refine` names the rules.

A rule may only correct what Hounsfield units leave no doubt of. Each is measured like the net itself: the figures of a
card are those of net and rules together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from medfm_core.body import body_mask
from medfm_core.volume import Volume

LOBES = (10, 11, 12, 13, 14)
TRACHEA = 16
_LUNG_AIR_HU = -500.0
_LEAST_SHARE = 0.3
_COARSE_MM = 3.0
_BODY_MM = 4.0


def fill_lungs(image: Volume, labels: np.ndarray) -> None:
    """Give the rest of a lung to its nearest lobe, in place.

    A connected piece of air-like tissue of which the net called at least 30 % lung is lung to its border; airways keep
    their label, and gas of the bowel or outside the body is another piece.

    Args:
        image: a CT in HU.
        labels: vocabulary ids on its grid, `(I, J, K)` uint8.
    """
    from scipy import ndimage

    step = tuple(slice(None, None, max(1, round(_COARSE_MM / s))) for s in image.affine.spacing)
    hu, coarse = image.voxels[step], labels[step]
    is_lobe = np.isin(coarse, LOBES)
    if not is_lobe.any():
        return
    pieces, count = ndimage.label(hu < _LUNG_AIR_HU)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    shares = np.bincount(pieces[is_lobe], minlength=count + 1) / np.maximum(sizes, 1)
    shares[0] = 0
    lung = (shares >= _LEAST_SHARE)[pieces]
    missed = lung & ~is_lobe & (coarse != TRACHEA)
    if not missed.any():
        return
    nearest = ndimage.distance_transform_edt(~is_lobe, return_distances=False, return_indices=True)
    lobe_of = coarse[tuple(nearest)]
    rim = (
        ndimage.binary_dilation(missed, np.ones((3, 3, 3))) & ~missed
    )  # the coarse grid steps over the last voxels of a border
    index = [
        np.minimum(np.arange(n) // s.step, m - 1) for n, s, m in zip(labels.shape, step, coarse.shape, strict=True)
    ]
    plane = np.ix_(index[0], index[1])
    for k, row in enumerate(index[2]):
        near = missed[:, :, row] | rim[:, :, row]
        if not near.any():
            continue
        now = labels[:, :, k]
        free = np.where(missed[:, :, row][plane], ~np.isin(now, (*LOBES, TRACHEA)), rim[:, :, row][plane] & (now == 0))
        change = free & (image.voxels[:, :, k] < _LUNG_AIR_HU)
        now[change] = lobe_of[:, :, row][plane][change]


def keep_body(image: Volume, labels: np.ndarray) -> None:
    """Clear labels outside the body, in place: a table's edge is no rib, its hollow no lung.

    Args:
        image: a CT in HU.
        labels: vocabulary ids on its grid, `(I, J, K)` uint8.
    """
    from scipy import ndimage

    body, steps = body_mask(image, _BODY_MM)
    if not body.any():
        return
    # Closing what lies inside (lungs, bowel gas) slice by slice across every axis, then a margin for skin and borders.
    closed = body.copy()
    for axis in range(3):
        for plane in np.moveaxis(closed, axis, 0):
            plane |= ndimage.binary_fill_holes(plane)
    kept = ndimage.binary_dilation(closed, np.ones((3, 3, 3)))
    index = [
        np.minimum(np.arange(n) // step, m - 1) for n, step, m in zip(labels.shape, steps, kept.shape, strict=True)
    ]
    plane = np.ix_(index[0], index[1])
    for k, row in enumerate(index[2]):
        labels[:, :, k] *= kept[:, :, row][plane]


RULES: Mapping[str, Callable[[Volume, np.ndarray], None]] = {"keep_body": keep_body, "fill_lungs": fill_lungs}
