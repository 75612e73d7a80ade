"""What is measured of the organs of virtual subjects: tables of phenotypes, and vectors as an encoder would give them.

Adipose tissue is planted as the dominant organ: it has the most tokens and by far the largest variance, which comes
from how fat is distributed and not from health, and it tells little of any disease that other organs do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medfm_core.models.pan_fm_organs import OrganSpec
from training.synthetic.health import FACTORS, SITES, People
from training.synthetic.physique import stream

_WORLD = 20_260  # all cohorts are of one world: how organs depend on health is the same in each


@dataclass(frozen=True)
class Physiology:
    """How an organ shows the health of its owner.

    Attributes:
        factors: how strongly it shows each health factor.
        nuisance: deviation of what varies between people and means nothing.
        nuisances: how many such directions there are.
        noise: deviation of the noise of each number.
        scale: factor on all numbers of a vector.
    """

    factors: Mapping[str, float]
    nuisance: float = 0.5
    nuisances: int = 2
    noise: float = 0.7
    scale: float = 1.0


PHYSIOLOGY: dict[str, Physiology] = {
    "brain": Physiology({"neural": 1.0, "vascular": 0.4}),
    "heart": Physiology({"cardiac": 1.0, "vascular": 0.5}),
    "adipose": Physiology({"adiposity": 0.3}, nuisance=2.0, nuisances=3, noise=0.3, scale=2.5),
    "liver": Physiology({"hepatic": 1.0, "metabolic": 0.3, "adiposity": 0.3}),
    "kidney": Physiology({"renal": 1.0, "vascular": 0.2}),
    "spleen": Physiology({"marrow": 1.0, "hepatic": 0.3}),
    "pancreas": Physiology({"metabolic": 0.9, "adiposity": 0.3}),
}
# Mean and deviation of phenotypes in their units, so that tables look like tables.
_UNITS = {
    "lv_end_diastolic_ml": (148.0, 33.0), "lv_mass_g": (86.0, 22.0), "lv_ejection_percent": (59.0, 6.0),
    "la_volume_ml": (71.0, 20.0), "rv_end_diastolic_ml": (156.0, 37.0), "aorta_distensibility": (2.4, 1.0),
    "circumferential_strain": (-22.0, 3.4), "longitudinal_strain": (-18.5, 2.8), "volume_ml": (300.0, 80.0),
    "fat_percent": (5.0, 3.5), "iron_r2star": (45.0, 12.0), "t1_ms": (800.0, 90.0), "cortex_ml": (210.0, 45.0),
    "sinus_fat_ml": (9.0, 4.0),
}  # fmt: skip


def measure(spec: OrganSpec, people: People, seed: int) -> np.ndarray:
    """Measure one organ of all subjects.

    Tables depend on health linearly, with a skewed tail as volumes have; vectors go through a layer that saturates. Age
    and the site's scanner show in both.

    Args:
        spec: the organ, a table or vectors.
        people: the subjects, `S`.
        seed: of nuisance and noise.

    Returns:
        `(S, fields)` or `(S, count, values)` float32.
    """
    physiology, count = PHYSIOLOGY[spec.name], len(people.age)
    world = stream(_WORLD, f"world {spec.name}")
    strengths = np.array([physiology.factors.get(name, 0.0) for name in FACTORS])
    nuisance = stream(seed, f"nuisance {spec.name}").standard_normal((count, physiology.nuisances))
    age = (people.age[:, None] - 64) / 7.5
    inner = np.concatenate([people.factors * strengths, physiology.nuisance * nuisance, 0.2 * age], axis=1)
    noise = stream(seed, f"noise {spec.name}").standard_normal((count, *spec.shape))
    sites = world.standard_normal((len(SITES), *spec.shape)) * 0.2
    if spec.kind == "table":
        loadings = _loadings(world, len(spec.fields), inner.shape[1], strengths)
        shown = inner @ loadings.T + physiology.noise * noise + sites[people.site]
        return _in_units(shown, spec.fields)
    hidden = np.tanh(inner @ world.standard_normal((inner.shape[1], 24)) * 0.7)
    mixed = np.einsum("sh,hnv->snv", hidden, world.standard_normal((24, *spec.shape)) / np.sqrt(24) * 1.5)
    return (physiology.scale * (mixed + physiology.noise * noise + sites[people.site])).astype(np.float32)


def _loadings(world: np.random.Generator, fields: int, inputs: int, strengths: np.ndarray) -> np.ndarray:
    """Each field shows one of the organ's factors most, and a bit of everything, `(fields, inputs)`."""
    loadings = 0.25 * world.standard_normal((fields, inputs))
    shown = np.flatnonzero(strengths)
    order = shown[np.argsort(-strengths[shown])]
    for field in range(fields):
        loadings[field, order[(field // 2) % len(order)]] += world.choice([-1.0, 1.0])
    return loadings


def _in_units(shown: np.ndarray, fields: Sequence[str]) -> np.ndarray:
    means, deviations = np.array([_UNITS[name.split(".")[-1]] for name in fields]).T
    skewed = np.expm1(0.25 * shown) / 0.25
    return (means + deviations * skewed).astype(np.float32)
