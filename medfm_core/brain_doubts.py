"""Is this a brain MRI as the encoders expect it: stripped of skull and scalp, and in MNI space?

Both questions are answered by what is brighter than the background: how much of it there is, and where its box lies.
Nothing is registered for that, so a head that is turned by a few degrees within the right box passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medfm_core.volume import Volume, foreground_box, reorient

MNI_MIDDLE_MM = (0.0, -17.0, 4.0)  # of the brain's box, RAS
MNI_EXTENT_MM = (142.0, 180.0, 152.0)
LARGEST_BRAIN_ML = 2300.0
MIDDLE_OFF_MM = 15.0
EXTENT_OFF = 0.25
_BACKGROUND = 0.03  # of the way from the lowest to the 99.5th percentile
_STEP_MM = 3.0


@dataclass(frozen=True)
class BrainPlacement:
    """What an image shows.

    Attributes:
        tissue_ml: volume of its largest piece brighter than the background, holes filled.
        middle_mm: middle of that piece's box, RAS mm.
        extent_mm: sides of the box along R, A, S.
    """

    tissue_ml: float
    middle_mm: tuple[float, float, float]
    extent_mm: tuple[float, float, float]

    @property
    def is_stripped(self) -> bool:
        """Whether no more is there than a brain can be."""
        return 0 < self.tissue_ml <= LARGEST_BRAIN_ML

    @property
    def is_in_mni(self) -> bool:
        """Whether the box lies where that of a brain in MNI space does; only meaningful for a stripped brain."""
        away = max(abs(a - b) for a, b in zip(self.middle_mm, MNI_MIDDLE_MM, strict=True))
        other = max(abs(a / b - 1) for a, b in zip(self.extent_mm, MNI_EXTENT_MM, strict=True))
        return away <= MIDDLE_OFF_MM and other <= EXTENT_OFF


def brain_placement(volume: Volume) -> BrainPlacement:
    """Measure where the head or brain of an image is.

    Args:
        volume: a brain MRI, any orientation.
    """
    turned = reorient(volume, "RAS")
    steps = tuple(max(1, round(_STEP_MM / mm)) for mm in turned.spacing)
    coarse = np.nan_to_num(turned.voxels[:: steps[0], :: steps[1], :: steps[2]].astype(np.float32))
    low, high = float(coarse.min()), float(np.percentile(coarse, 99.5))
    mask = coarse > low + _BACKGROUND * max(high - low, 0.0)
    pieces, count = ndimage.label(mask)
    if not count:
        return BrainPlacement(0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    largest = ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))
    box = foreground_box(largest)
    start, stop = (np.array(end) * steps for end in box)
    middle = turned.affine.matrix @ [*((start + stop - 1) / 2), 1.0]
    extent = (stop - start) * turned.spacing
    millilitre = float(np.prod(np.array(steps) * turned.spacing)) / 1000
    return BrainPlacement(float(largest.sum()) * millilitre, tuple(middle[:3].tolist()), tuple(extent.tolist()))


def brain_doubts(volume: Volume) -> tuple[str, ...]:
    """Sentences for people; none for a stripped brain in MNI space.

    Args:
        volume: a brain MRI, any orientation.
    """
    found = brain_placement(volume)
    if not found.tissue_ml:
        return ("Nothing in the image is brighter than its background.",)
    if not found.is_stripped:
        return (
            f"The image shows {found.tissue_ml:.0f} mL of tissue, more than a brain: skull and scalp are probably "
            "still there. The model expects a stripped brain; strip it first, for example by HD-BET or SynthStrip.",
        )
    if not found.is_in_mni:
        place = ", ".join(f"{mm:.0f}" for mm in found.middle_mm)
        sides = " x ".join(f"{mm:.0f}" for mm in found.extent_mm)
        return (
            f"The brain's box ({sides} mm around {place} mm) is not that of a brain in MNI space; the model was "
            "trained on brains registered to it.",
        )
    return ()
