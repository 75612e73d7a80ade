"""Images of the organs of virtual subjects, drawn from the very measurements that their tables hold.

What a health factor does to an organ shows in its size, its walls and its signal, as the numbers say, so images and
phenotypes of one subject agree. Where the organ lies, how it is turned, the scanner's gain and the noise differ from
subject to subject and mean nothing. The images are schematic MRI on a coarse grid: they test how a whole-body model
takes in volumes, and no anatomist would name what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medfm_core.models.pan_fm import ARCHITECTURE, PanFMConfig
from medfm_core.models.pan_fm_organs import OrganSpec
from medfm_core.models.sizes import size_config
from training.synthetic.physique import stream

SIZE = "images"
_EDGE = 0.25  # of a voxel, in its own widths: how soft borders are


def image_specs() -> tuple[OrganSpec, ...]:
    """The organs that are drawn: the volumes of the architecture `images`."""
    organs = size_config(ARCHITECTURE, SIZE, PanFMConfig).organs
    return tuple(organ for organ in organs if organ.kind == "volume")


@dataclass(frozen=True, eq=False)
class Slot:
    """The grid of one image, in the organ's own turned frame.

    Attributes:
        places: coordinates along Superior, Posterior and Left of every voxel, mm, `(3, D, H, W)`.
        step: width of a voxel, mm.
    """

    places: np.ndarray
    step: float

    def inside(self, radii: tuple[float, float, float], centre: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """How much of each voxel lies within an ellipsoid, 0 to 1 with a soft border, `(D, H, W)`."""
        shape = (3, 1, 1, 1)
        away = (self.places - np.reshape(centre, shape)) / np.reshape(radii, shape)
        distance = (np.sqrt((away**2).sum(axis=0)) - 1) * min(radii) / self.step
        return 1 / (1 + np.exp(np.clip(distance / _EDGE, -30, 30)))


def draw_organ(spec: OrganSpec, measured: Mapping[str, float], subject: int, site: int, seed: int) -> np.ndarray:
    """Draw one organ of one subject.

    Args:
        spec: the organ, a volume of one channel.
        measured: its measurements by field, in their units; what a still image cannot show (strains, ejection,
            distensibility) is not looked at.
        subject: number of the subject.
        site: number of the site, whose scanner has a gain of its own.
        seed: of the cohort.

    Returns:
        `(1, D, H, W)` float16, signal mostly within 0 to 1.
    """
    drawn = stream(seed, f"image {spec.name} {subject}")
    draw, step = _DRAWERS[spec.name]
    slot = _slot(spec.image_size, step, drawn)
    signal = draw({name: max(measured[name], least) for name, least in _LEAST.items() if name in measured}, slot, drawn)
    gain = (0.95, 1.0, 1.06)[site % 3] * (1 + 0.03 * drawn.standard_normal())
    noisy = gain * signal + 0.04 * drawn.standard_normal(spec.image_size)
    return noisy[None].astype(np.float16)


# What a skewed tail may fall short of is drawn as if it were there.
_LEAST = {
    "lv_end_diastolic_ml": 30.0, "lv_mass_g": 17.0, "la_volume_ml": 14.0, "rv_end_diastolic_ml": 31.0,
    "volume_ml": 60.0, "cortex_ml": 42.0, "sinus_fat_ml": 2.0, "fat_percent": 0.0, "iron_r2star": 9.0, "t1_ms": 160.0,
}  # fmt: skip


def _slot(size: tuple[int, int, int], step: float, drawn: np.random.Generator) -> Slot:
    """A grid around an organ that lies a little off its middle and is turned a little."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n in size]
    places = np.stack(np.meshgrid(*axes, indexing="ij")) - 0.8 * step * drawn.standard_normal((3, 1, 1, 1))
    turn, tilt = np.radians(8 * drawn.standard_normal(2))
    about_first = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    about_last = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    return Slot(np.einsum("ij,jdhw->idhw", about_first @ about_last, places), step)


def _radius(millilitres: float, *stretch: float) -> float:
    """Radius of an ellipsoid of a volume, mm, before it is stretched along its axes."""
    return float((1000 * millilitres * 3 / (4 * np.pi * np.prod(stretch))) ** (1 / 3))


def _heart(measured: Mapping[str, float], slot: Slot, drawn: np.random.Generator) -> np.ndarray:
    """Left ventricle with its wall, right ventricle beside it, left atrium above; bright blood."""
    cavity = measured["lv_end_diastolic_ml"]
    inner = _radius(cavity, 1.4)
    outer = _radius(cavity + measured["lv_mass_g"] / 1.05, 1.4)
    right = _radius(measured["rv_end_diastolic_ml"], 1.3, 1.3)
    atrium = _radius(measured["la_volume_ml"])
    wall = slot.inside((1.4 * outer, outer, outer))
    blood = slot.inside((1.4 * inner, inner, inner))
    signal = 0.1 + 0.7 * slot.inside((1.3 * right, 1.3 * right, right), (0, -0.4 * outer, -outer)) * (1 - wall)
    signal += 0.75 * slot.inside((atrium,) * 3, (1.4 * outer + 0.6 * atrium, 0.5 * outer, 0)) * (1 - wall)
    return signal * (1 - wall) + wall * (0.35 + 0.55 * blood)


def _liver(measured: Mapping[str, float], slot: Slot, drawn: np.random.Generator) -> np.ndarray:
    """One lobe whose signal rises with fat and falls with iron, and whose grain grows with T1."""
    radius = _radius(measured["volume_ml"], 0.8, 1.3)
    tissue = 0.4 + 0.03 * (measured["fat_percent"] - 5) - 0.004 * (measured["iron_r2star"] - 45)
    grain = 0.05 * max(0.0, 1 + (measured["t1_ms"] - 800) / 180) * drawn.standard_normal(slot.places.shape[1:])
    inside = slot.inside((0.8 * radius, radius, 1.3 * radius))
    return 0.1 + inside * (tissue - 0.1 + grain)


def _kidney(measured: Mapping[str, float], slot: Slot, drawn: np.random.Generator) -> np.ndarray:
    """Both kidneys: cortex around medulla around bright fat of the sinus."""
    each = _radius(measured["volume_ml"] / 2, 1.6)
    medulla = _radius(max(measured["volume_ml"] - measured["cortex_ml"], 10) / 2, 1.6)
    sinus = _radius(measured["sinus_fat_ml"] / 2, 1.6)
    cortex_signal = 0.55 - 0.001 * (measured["t1_ms"] - 800)
    signal = np.full(slot.places.shape[1:], 0.1)
    for side in (-1, 1):
        centre = (0.0, 0.0, side * 1.15 * each)
        layers = [slot.inside((1.6 * r, r, r), centre) for r in (each, medulla, sinus)]
        for share, value in zip(layers, (cortex_signal, 0.3, 0.95), strict=True):
            signal = signal * (1 - share) + share * value
    return signal


_Drawer = Callable[[Mapping[str, float], Slot, np.random.Generator], np.ndarray]
_DRAWERS: dict[str, tuple[_Drawer, float]] = {"heart": (_heart, 7.0), "liver": (_liver, 6.0), "kidney": (_kidney, 7.0)}
