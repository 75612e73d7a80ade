"""Plaques of multiple sclerosis: at the ventricles, under the cortex, below the tentorium, and in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.synthetic.brain.parts import VENTRICLES, Part
from training.synthetic.shapes import ellipsoid, frame

if TYPE_CHECKING:
    from training.synthetic.brain.lesions import Scene

_PLACES = {"ventricle": 0.52, "cortex": 0.2, "hindbrain": 0.08, "between": 0.2}
_MEDIAN_MM, _SPREAD, _LARGEST_MM = 2.3, 0.36, 7.0
_MOST = 400


def plaques(scene: Scene, volume_ml: float) -> np.ndarray:
    """Put plaques until a volume is reached; those at the ventricles stand on them like fingers.

    Args:
        scene: the head.
        volume_ml: of all together.

    Returns:
        Share of each voxel, `(I, J, K)` float32.
    """
    near = scene.distance_to(VENTRICLES)
    slopes = np.gradient(near)
    white = scene.tissue.shares[Part.WHITE] + scene.tissue.shares[Part.CEREBELLAR_WHITE]
    allowed = np.minimum(white + scene.tissue.shares[Part.BRAINSTEM] + 0.5 * scene.tissue.shares[Part.CORTEX], 1)
    places = _places(scene, near, white)
    rough = scene.noise(5.0)
    cover = np.zeros(scene.space.shape, np.float32)
    filled, limit = 0.0, volume_ml / scene.voxel_ml
    large = min(1.6, 0.9 + 0.025 * volume_ml)
    for _ in range(_MOST):
        if filled >= limit:
            break
        name = str(scene.rng.choice(list(_PLACES), p=list(_PLACES.values())))
        if not len(places[name]):
            continue
        at = np.unravel_index(places[name][int(scene.rng.integers(len(places[name])))], scene.space.shape)
        radius = min(_MEDIAN_MM * large * np.exp(scene.rng.normal(0, _SPREAD)), _LARGEST_MM)
        axis = np.array([slope[at] for slope in slopes]) if name == "ventricle" else scene.rng.normal(size=3)
        filled += _put(scene, cover, at, radius, axis, (rough, allowed))
    return cover


def _places(scene: Scene, near: np.ndarray, white: np.ndarray) -> dict[str, np.ndarray]:
    """Flat indices of voxels where plaques of each sort may have their middle."""
    share = scene.tissue.shares
    under = scene.distance_to((Part.CORTEX,))
    cerebral = share[Part.WHITE] > 0.7
    hind = (share[Part.BRAINSTEM] + share[Part.CEREBELLAR_WHITE]) > 0.8
    return {
        "ventricle": np.flatnonzero(cerebral & (near > 1) & (near < 6) & (scene.space.z > -4)),
        "cortex": np.flatnonzero(cerebral & (under < 3.5) & (near > 12)),
        "hindbrain": np.flatnonzero(hind & (scene.space.z > -48)),
        "between": np.flatnonzero(cerebral & (white > 0.9) & (near >= 6) & (under > 3.5)),
    }


def _put(scene: Scene, cover: np.ndarray, at, radius: float, axis: np.ndarray, fields) -> float:
    """Add one plaque to the cover; returns how many voxels it added."""
    rough, allowed = fields
    spacing = np.array(scene.space.spacing)
    reach = np.ceil(2.2 * radius / spacing).astype(int) + 1
    box = tuple(slice(max(i - r, 0), i + r + 1) for i, r in zip(at, reach, strict=True))
    grid = np.ogrid[tuple(slice(0, n) for n in cover[box].shape)]
    local = [
        (np.asarray(line, np.float32) + part.start - i) * np.float32(step)
        for line, part, i, step in zip(grid, box, at, spacing, strict=True)
    ]
    x, y, z = np.broadcast_arrays(*local)
    long = radius * scene.rng.uniform(1.1, 1.9)
    axes = frame(axis if np.linalg.norm(axis) > 1e-3 else (0, 0, 1))
    distance = ellipsoid(x, y, z, (0, 0, 0), (long, radius, radius * scene.rng.uniform(0.8, 1.0)), axes)
    distance = distance + np.float32(0.18 * radius) * rough[box]
    new = np.clip(0.5 - distance / np.float32(max(scene.space.spacing)), 0, 1) * allowed[box]
    before = float(cover[box].sum())
    np.maximum(cover[box], new, out=cover[box])
    return float(cover[box].sum()) - before
