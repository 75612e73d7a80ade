"""How a brain MRI becomes a network's box, by what its card says.

| `input.resampling` | chain | for |
|---|---|---|
| "face_to_face" | orient, stretch the whole image to the size, z-score of what is not 0 | BrainIAC |
| any other | `brain_grid` | Neuro-JEPA |

A stretched image is squeezed or drawn out axis by axis, so that its field of view decides how large the brain is in the
box: it should be that of a template.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medfm_core.brain_grid import axis_resized, centre_fitted, oriented, to_brain_grid
from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
from medfm_core.volume import Volume


def to_brain_box(volume: Volume, spec: InputSpec, crop_size: Sequence[int] | None = None) -> Volume:
    """Prepare a brain MRI; registration and skull stripping come before this.

    Args:
        volume: as read, 0 around the brain.
        spec: the card's `input` entry.
        crop_size: what the network looks at of the box, (D, H, W); None for the whole box.

    Returns:
        Array axes (D, H, W), float32; its affine says where its voxels lie in the patient.

    Raises:
        InputError: the card says too little or another rule, or there is nothing in the volume.
    """
    if spec.resampling != "face_to_face":
        return to_brain_grid(volume, spec, crop_size=crop_size)
    box = stretched_brain(volume, spec)
    return box if crop_size is None else centre_fitted(box, tuple(crop_size))


def stretched_brain(volume: Volume, spec: InputSpec) -> Volume:
    """Stretch the whole image to the card's size, then z-score what is not 0.

    Args:
        volume: as read, 0 around the brain.
        spec: of which `orientation`, `size` and `intensity` are read.

    Returns:
        Array axes (D, H, W), float32.

    Raises:
        InputError: the card has no size, orientation or z-score, or all of the image is 0.

    Source: BrainIAC's loading of a scan, as those describe it who run its code: MONAI's Resized (trilinear), then
    NormalizeIntensityd(nonzero=True).
    """
    if spec.size is None or spec.orientation is None or spec.intensity.kind != "zscore":
        raise InputError("the input entry has no size, orientation or zscore", "a stretched brain needs all three")
    image = linear_resized(oriented(volume, spec.orientation), spec.size)
    if not image.voxels.any():
        raise InputError("nothing in the image is other than 0", "give a brain MRI with 0 around the brain")
    return image.with_voxels(zscore_nonzero(image.voxels))


def linear_resized(volume: Volume, size: Sequence[int]) -> Volume:
    """Bring every axis to `size` voxels from face to face, picking between the two nearest voxels.

    Source: torch's `interpolate` (linear, `align_corners=False`), which averages nothing where it shrinks.
    """
    return axis_resized(volume, size, _between)


def zscore_nonzero(voxels: np.ndarray) -> np.ndarray:
    """Take the mean of what is not 0 from it and divide it by its standard deviation; 0 stays 0."""
    inside = voxels != 0
    values = voxels[inside].astype(np.float64)
    if not values.size:
        return voxels
    made = np.zeros(voxels.shape, np.float32)
    made[inside] = (values - values.mean()) / (values.std() or 1.0)
    return made


def _between(have: int, want: int) -> np.ndarray:
    """Weights `(want, have)` float32 that pick between neighbours; beyond the outermost centres these go on."""
    place = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
    first = np.minimum(place.astype(int), max(have - 2, 0))
    weights = np.zeros((want, have), np.float32)
    rows = np.arange(want)
    weights[rows, first] = 1 - (place - first)
    weights[rows, np.minimum(first + 1, have - 1)] += place - first
    return weights
