"""Which planes of a scan show the most organs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LANDMARKS: Mapping[str, float] = {
    "liver": 3, "heart": 3, "kidney_right": 2, "kidney_left": 2, "spleen": 2, "urinary_bladder": 3, "pancreas": 2,
    "aorta": 1.5, "stomach": 1.5, "vertebrae": 1.5, "gallbladder": 1.5, "trachea": 1.5, "duodenum": 1,
    "adrenal_gland_right": 1, "adrenal_gland_left": 1, "lung_upper_lobe_left": 1, "lung_upper_lobe_right": 1,
    "lung_lower_lobe_left": 1, "lung_lower_lobe_right": 1, "lung_middle_lobe_right": 1, "colon": 1,
    "small_bowel": 1, "sacrum": 1, "spinal_cord": 1, "femur_left": 0.7, "femur_right": 0.7,
    "inferior_vena_cava": 0.7, "portal_vein_and_splenic_vein": 0.7, "sternum": 0.7,
}  # fmt: skip
_OTHER = 0.3


def choose_levels(
    profiles: Mapping[str, np.ndarray], spacing_mm: float, count: int, apart_mm: float
) -> tuple[int, ...]:
    """Pick the slices that together show the organs at their largest.

    One after the other, the slice is taken that adds most to the sum over the organs of "largest cross-section shown so
    far, as a share of the organ's largest", weighted by how much a reader looks for the organ.

    Args:
        profiles: per organ the voxels in each slice, `(slices,)`.
        spacing_mm: distance between slices.
        count: how many slices at most.
        apart_mm: least distance between two of them; made smaller where the scan has no room for `count` otherwise.

    Returns:
        Slice indices, rising; empty without organs.
    """
    if not profiles:
        return ()
    weights = np.array([LANDMARKS.get(name, _OTHER) for name in profiles])
    table = np.stack([profile / profile.max() for profile in profiles.values()])
    shown = np.zeros(len(weights))
    distance = np.where(table.any(axis=0), np.inf, 0.0)
    chosen: list[int] = []
    while len(chosen) < count and apart_mm >= spacing_mm and distance.any():
        if distance.max() < apart_mm:
            apart_mm *= 0.6
            continue
        gain = weights @ np.maximum(table - shown[:, None], 0)
        gain = gain + 1e-6 * np.minimum(distance, 1e6)
        best = int(np.argmax(np.where(distance >= apart_mm, gain, -1)))
        chosen.append(best)
        shown = np.maximum(shown, table[:, best])
        distance = np.minimum(distance, np.abs(np.arange(table.shape[1]) - best) * spacing_mm)
    return tuple(sorted(chosen))


def landmarks_at(profiles: Mapping[str, np.ndarray], index: int, count: int = 6) -> tuple[str, ...]:
    """Names of the organs a slice shows best, the most looked for first."""
    scores = {
        name: LANDMARKS.get(name, _OTHER) * profile[index] / profile.max()
        for name, profile in profiles.items()
        if profile[index] > 0.4 * profile.max()
    }
    return tuple(sorted(scores, key=scores.get, reverse=True)[:count])
