"""Contrast redrawn per organ: one scan seen as if it had been made in another phase, or in none that exists.

In the manner of SynthSeg (Billot 2023, doi 10.1016/j.media.2023.102789) but on real texture: each organ's mean is moved
and its deviations from the mean are stretched, so that a net cannot learn an organ by its absolute HU.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor
from torch.nn import functional

# Mean HU in (non-contrast, arterial, portal venous, delayed) scans; between-patient spread is drawn on top.
PHASE_HU: dict[str, tuple[float, float, float, float]] = {
    "spleen": (48, 110, 120, 95),
    "kidney_right": (32, 140, 185, 150),
    "kidney_left": (32, 140, 185, 150),
    "gallbladder": (12, 12, 14, 16),
    "liver": (56, 68, 110, 92),
    "stomach": (20, 30, 35, 30),
    "pancreas": (40, 95, 92, 75),
    "adrenal_gland_right": (25, 70, 75, 60),
    "adrenal_gland_left": (25, 70, 75, 60),
    "esophagus": (35, 50, 60, 55),
    "small_bowel": (25, 45, 60, 50),
    "duodenum": (28, 50, 60, 50),
    "heart": (42, 230, 140, 110),
    "aorta": (42, 300, 150, 115),
    "inferior_vena_cava": (40, 80, 140, 115),
    "portal_vein_and_splenic_vein": (42, 75, 160, 120),
    "iliopsoas_left": (52, 58, 62, 62),
    "iliopsoas_right": (52, 58, 62, 62),
}
_SPREAD_HU = {"aorta": 45.0, "heart": 40.0, "portal_vein_and_splenic_vein": 30.0, "inferior_vena_cava": 30.0}
_POSITIVE_ORAL = ("stomach", "small_bowel", "duodenum", "colon", "urinary_bladder")
_SMALL_SHIFT = {
    "vertebrae": 70.0,
    "sacrum": 60.0,
    "ribs": 80.0,
    "sternum": 60.0,
    "hip_left": 60.0,
    "hip_right": 60.0,
    "femur_left": 60.0,
    "femur_right": 60.0,
    "shoulder_girdle": 60.0,
    "trachea": 15.0,
}


@dataclass(frozen=True)
class ContrastRandomisation:
    """How often and how far contrast is redrawn.

    Attributes:
        phase_probability: share of samples moved to the means of a drawn phase.
        random_probability: share of samples whose organ means are moved at random.
        random_sd_hu: standard deviation of those moves.
        stretch: range of the factor on deviations from an organ's mean.
    """

    phase_probability: float = 0.55
    random_probability: float = 0.25
    random_sd_hu: float = 55.0
    stretch: tuple[float, float] = (0.6, 1.4)
    names: tuple[str, ...] = field(default=())

    def draw_shifts(self, rng: np.random.Generator, means_hu: np.ndarray) -> np.ndarray:
        """Draw the shift of each class in HU, `(C,)` float32; class 0 is the background.

        Args:
            rng: where the draws come from.
            means_hu: mean of each class in this case, NaN where absent.
        """
        shifts = np.zeros(len(means_hu), np.float32)
        kind = rng.random()
        phase, mix = rng.integers(4), rng.random()
        second = int(np.clip(phase + 1, 0, 3))
        left_right = {}
        for channel, name in enumerate(self.names, start=1):
            pair = name.removesuffix("_left").removesuffix("_right")
            draw = left_right.setdefault(pair, rng.standard_normal())
            mean = means_hu[channel]
            if not np.isfinite(mean):
                continue
            if kind < self.phase_probability and name in PHASE_HU:
                target = PHASE_HU[name][phase] * (1 - mix) + PHASE_HU[name][second] * mix
                shifts[channel] = target + draw * _SPREAD_HU.get(name, 14.0) - mean
            elif kind < self.phase_probability + self.random_probability and name not in _SMALL_SHIFT:
                shifts[channel] = draw * (25.0 if name.startswith("lung") else self.random_sd_hu)
            else:
                shifts[channel] = draw * _SMALL_SHIFT.get(name, 10.0)
        if rng.random() < 0.15:
            for name in _POSITIVE_ORAL:
                if name in self.names and rng.random() < 0.6:
                    shifts[1 + self.names.index(name)] += rng.uniform(60, 300)
        return shifts


def redraw_contrast(hu: Tensor, classes: Tensor, means_hu: Tensor, shifts: Tensor, stretch: Tensor) -> Tensor:
    """Move and stretch each organ's HU with soft edges.

    Args:
        hu: `(D, H, W)` float32.
        classes: `(D, H, W)` int64 in `[0, C)`.
        means_hu: `(C,)`, no NaN.
        shifts: `(C,)` in HU.
        stretch: `(C,)` factors on deviations from the mean; 1 leaves texture alone.

    Returns:
        `(D, H, W)` float32.
    """
    change = shifts[classes] + (hu - means_hu[classes]) * (stretch[classes] - 1.0)
    # Only soft tissue is moved: gas in the bowel or fat at an organ's rim keeps its HU.
    change = change * ((hu + 220.0) / 160.0).clamp_(0.0, 1.0)
    return hu + functional.avg_pool3d(change[None, None], 3, stride=1, padding=1)[0, 0]
