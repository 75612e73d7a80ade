"""How much of a map lies where it should."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from medfm_core.errors import InputError


@dataclass(frozen=True)
class EnergyShare:
    """Share of a map's sum within a mask.

    Attributes:
        inside: share within the mask, in `[0, 1]`; 0 for a map that is 0 everywhere.
        chance: share of the voxels within the mask, what an even map would have.
    """

    inside: float
    chance: float

    @property
    def times_chance(self) -> float:
        """How many times more lies within the mask than an even map would have there."""
        return self.inside / self.chance


def energy_inside(saliency: Tensor, mask: Tensor) -> EnergyShare:
    """Measure how much of a map lies within a mask, such as a lesion's.

    Args:
        saliency: `(D, H, W)`, at least 0.
        mask: on the same voxels, nonzero inside.

    Raises:
        InputError: another shape, a negative or infinite map, or an empty mask.
    """
    if saliency.shape != mask.shape:
        raise InputError(f"a mask of shape {tuple(mask.shape)} does not lie on a map of {tuple(saliency.shape)}")
    inside = mask.to(saliency.device) != 0
    if not inside.any():
        raise InputError("the mask is empty within the crop", "measure only where the lesion lies in the crop")
    energy = saliency.double()
    total = float(energy.sum())
    if not total < float("inf") or float(energy.min()) < 0:
        raise InputError("the map holds negative or infinite values")
    chance = float(inside.double().mean())
    return EnergyShare(float(energy[inside].sum()) / total if total else 0.0, chance)
