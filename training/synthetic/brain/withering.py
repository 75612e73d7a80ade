"""Atrophy of a head that came from a label map: its ventricles and sulci widen at the cost of what lies beside them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.synthetic.brain.fractions import Fractions
from training.synthetic.brain.parts import TISSUE, Part
from training.synthetic.brain.space import HeadSpace

_VENTRICLE_MM, _SULCUS_MM = 3.4, 1.7  # how far the fluid advances in severe atrophy
_FLUID_SHARE = 0.35  # sulci are narrower than a voxel


def wither(tissue: Fractions, space: HeadSpace, atrophy: float) -> None:
    """Widen ventricles and sulci.

    Args:
        tissue: changed in place.
        space: where its voxels lie.
        atrophy: 0 (none) to 1 (severe).
    """
    step = min(space.spacing)
    for part, advance, threshold in (
        (Part.LATERAL_VENTRICLE, _VENTRICLE_MM * atrophy, 0.5),
        (Part.CSF, _SULCUS_MM * atrophy, _FLUID_SHARE),
    ):
        mask = tissue.shares[part] > threshold
        if advance <= 0 or not mask.any():
            continue
        away = ndimage.distance_transform_edt(~mask, space.spacing).astype(np.float32) - np.float32(step / 2)
        cover = np.clip((np.float32(advance) - away) / np.float32(step), 0, 1) * ~mask
        losing = TISSUE if part is Part.LATERAL_VENTRICLE else (Part.CORTEX, Part.CEREBELLAR_CORTEX, Part.HIPPOCAMPUS)
        for other in losing:
            lost = cover * tissue.shares[other]
            tissue.shares[other] -= lost
            tissue.shares[part] += lost
