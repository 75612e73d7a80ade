"""The spine's course: where each vertebra sits, how it tilts and how big it is (canonical mm, L5/S1 at z = 0)."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from training.synthetic.physique import Physique, stream

IDS = np.arange(27, 51)
"""Label ids L5 (27) up to C1 (50)."""
_PITCH = [34, 34.5, 34.5, 33.5, 32, 29, 27.5, 26, 25, 24, 23, 22, 21, 20, 19, 18.5, 18, 17, 16.5, 16, 16, 16, 17, 16]
_SAGITTAL = [12, 20, 20, 13, 3, -8, -17, -25, -31, -34.5, -35.5, -33, -27, -18, -8, 4, 16, 27, 35, 41, 45, 48, 50, 52]
_WIDTH = [27, 26, 25, 24, 23, 22, 20.5, 19, 18, 17, 16.5, 16, 15.5, 15, 15, 15, 15.5, 14, 13, 12.5, 12, 12, 11, 10]
_DEPTH = [
    18.5,
    18.5,
    18.5,
    18,
    17.5,
    17,
    17,
    17,
    16.5,
    16,
    15.5,
    14.5,
    13.5,
    12.5,
    11.5,
    10.5,
    9.5,
    9,
    8.5,
    8.5,
    8,
    8,
    8,
    7,
]
NAMES = [f"L{5 - i}" for i in range(5)] + [f"T{12 - i}" for i in range(12)] + [f"C{7 - i}" for i in range(7)]


class Spine:
    """Course and sizes of the vertebrae, arrays ordered from L5 up to C1.

    Attributes:
        z, y, x: body centres mm; width, depth, half_height: half sizes of the bodies mm.
    """

    def __init__(self, physique: Physique, seed: int):
        rng = stream(seed, "spine")
        pitch = np.array(_PITCH) * np.exp(rng.normal(0, 0.02, 24))
        edges = np.r_[0, np.cumsum(pitch)]
        self.z = (edges[1:] + edges[:-1]) / 2
        self.pitch = pitch
        sagittal = np.array(_SAGITTAL, float)
        blend = np.interp(self.z, [150, 260], [0, 1])
        base = np.interp(self.z, [0, 200, 300, 420, 560], [4, -6, -20, -8, 30])
        factor = physique.lordosis * (1 - blend) + physique.kyphosis * blend
        self.y = base + (sagittal - base) * factor
        phase = rng.uniform(0, 2 * np.pi)
        self.x = physique.scoliosis_mm * np.sin(self.z / 480 * 2 * np.pi * rng.uniform(0.5, 1.1) + phase)
        size = physique.vertebra_size
        self.width, self.depth = np.array(_WIDTH) * size, np.array(_DEPTH) * size
        self.half_height = pitch * np.interp(self.z, [0, 200, 450], [0.385, 0.405, 0.40])
        ends_z = np.r_[-60, self.z, self.z[-1] + 60]
        self._y = CubicSpline(ends_z, np.r_[self.y[0] - 30, self.y, self.y[-1] + 5])
        self._x = CubicSpline(ends_z, np.r_[0, self.x, self.x[-1]])

    def index(self, name: str) -> int:
        """Array index of a vertebra such as "T8"."""
        return NAMES.index(name)

    def level(self, name: str, part: float = 0.0) -> float:
        """Height of a vertebra's centre plus `part` of its pitch."""
        i = self.index(name)
        return float(self.z[i] + part * self.pitch[i])

    def centre(self, z):
        """(x, y) of the body centre line at height z, mm."""
        return self._x(z), self._y(z)

    def pre(self, dx: float, dy: float, z: float) -> list[float]:
        """A point dx to the right and dy in front of the FRONT of the vertebral bodies at height z."""
        x, y = self.centre(z)
        return [float(x + dx), float(y + np.interp(z, self.z, self.depth) + dy), float(z)]

    def tilt(self, i: int) -> float:
        """Sagittal tilt (radians) of vertebra i: its axis is (0, sin, cos)."""
        return float(np.arctan(np.clip(self._y(self.z[i], 1), -0.7, 0.7)))

    def lean(self, i: int) -> float:
        """Coronal tilt (radians) of vertebra i."""
        return float(np.arctan(self._x(self.z[i], 1)))
