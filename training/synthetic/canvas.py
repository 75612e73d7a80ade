"""The canvas a patient is painted on: voxel grid, canonical coordinates, free space and the shared plan.

A patient is built twice: on a coarse canvas of the whole torso, where fields (wall, diaphragm, ...) are computed and
organ sizes and bowel courses are decided and written into the plan, then on the requested grid, which replays the plan.
So a patient is the same whatever the spacing and the range of the scan.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from training.synthetic.physique import Physique, stream
from training.synthetic.shapes import FAR, capsule, curve, rotation, smooth_noise
from training.synthetic.tissue import Tissue

PLAN_MM = 6.0
LOW, HIGH = np.array([-285.0, -185.0, -275.0]), np.array([285.0, 245.0, 520.0])


class BodyFrame:
    """World mm <-> canonical mm: scale, posture and a smooth random warp. q = R^T p / scale + w(p)."""

    def __init__(self, physique: Physique, seed: int):
        rng = stream(seed, "warp")
        self.scale = np.array([physique.height**0.6, physique.height**0.6, physique.height])
        self.rotation = rotation(physique.tilt_deg)
        self.low = LOW * self.scale
        self.spacing = np.full(3, PLAN_MM)
        self.shape = tuple(int(np.ceil(v)) for v in (HIGH - LOW) * self.scale / PLAN_MM)
        self.warp = np.stack(
            [
                5.0 * smooth_noise(rng, self.shape, self.spacing, 230)
                + 1.6 * smooth_noise(rng, self.shape, self.spacing, 95)
                for _ in range(3)
            ]
        ).astype(np.float32)

    def coordinates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Canonical coordinates of the plan grid's voxels, three float32 arrays."""
        axes = [self.low[i] + PLAN_MM * np.arange(self.shape[i]) for i in range(3)]
        out = []
        for i in range(3):
            m = self.rotation[:, i] / self.scale[i]
            out.append(
                (
                    (m[0] * axes[0])[:, None, None]
                    + (m[1] * axes[1])[None, :, None]
                    + (m[2] * axes[2])[None, None, :]
                    + self.warp[i]
                ).astype(np.float32)
            )
        return tuple(out)

    def to_world(self, points) -> np.ndarray:
        """World mm of canonical points (N, 3), by fixed-point iteration."""
        q = np.atleast_2d(np.asarray(points, float))
        p = (q * self.scale) @ self.rotation.T
        for _ in range(3):
            at = ((p - self.low) / PLAN_MM).T
            w = np.stack([ndimage.map_coordinates(c, at, order=1, mode="nearest") for c in self.warp], 1)
            p = ((q - w) * self.scale) @ self.rotation.T
        return p


@dataclass
class Plan:
    """What the coarse pass decides and the fine pass replays."""

    levels: dict[str, float] = field(default_factory=dict)
    courses: dict[str, list] = field(default_factory=dict)
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)


class Canvas:
    """A voxel grid in world RAS mm with canonical coordinates X, Y, Z, labels, tissues and free space.

    Args:
        body: the patient's frame.
        plan: shared plan.
        physique: the patient.
        seed: of the patient.
        origin: world mm of voxel (0, 0, 0); None makes the plan's own canvas.
        shape: voxels; spacing: mm.
        spacing: see shape.
    """

    def __init__(
        self, body: BodyFrame, plan: Plan, physique: Physique, seed: int, origin=None, shape=None, spacing=None
    ):
        self.body, self.plan, self.physique, self.seed = body, plan, physique, seed
        self.recording = origin is None
        self.origin = np.array(body.low if origin is None else origin, float)
        self.shape = tuple(body.shape if shape is None else shape)
        self.spacing = np.array(body.spacing if spacing is None else spacing, float)
        self.voxel_ml = float(np.prod(self.spacing)) / 1000
        if self.recording:
            plan.fields["x"], plan.fields["y"], plan.fields["z"] = body.coordinates()
        else:
            self._steps()
        whole = (slice(None),) * 3
        self.x, self.y, self.z = (self.field(n, whole) for n in "xyz")
        self.labels = np.zeros(self.shape, np.uint8)
        self.tissues = np.zeros(self.shape, np.uint8)
        self.free = np.zeros(self.shape, bool)
        self.reserved = np.zeros(self.shape, bool)

    def _steps(self) -> None:
        self._low, self._part = [], []
        for a in range(3):
            t = (self.origin[a] + self.spacing[a] * np.arange(self.shape[a]) - self.body.low[a]) / PLAN_MM
            i = np.clip(np.floor(t).astype(int), 0, self.body.shape[a] - 2)
            self._low.append(i)
            self._part.append(np.clip(t - i, 0, 1).astype(np.float32))

    def rng(self, purpose: str) -> np.random.Generator:
        """The patient's generator for a purpose; the same in both passes."""
        return stream(self.seed, purpose)

    def field(self, name: str, box) -> np.ndarray:
        """A planned field on a box of this canvas, float32 (linear interpolation)."""
        out = self.plan.fields[name]
        if self.recording:
            return out[box]
        for a in range(3):
            i, w = self._low[a][box[a]], self._part[a][box[a]]
            first = int(i[0])
            part = out[(slice(None),) * a + (slice(first, int(i[-1]) + 2),)]
            w = w.reshape([-1 if b == a else 1 for b in range(3)])
            low = np.take(part, i - first, axis=a)
            out = low + (np.take(part, i - first + 1, axis=a) - low) * w
        return out

    def box(self, points, margin: float):
        """Slices that hold canonical points (N, 3) with `margin` mm around, or None outside the canvas."""
        return self._world_box(self.body.to_world(points), margin)

    def _world_box(self, world, margin):
        margin = margin * float(self.body.scale.max())
        lo = np.floor((world.min(0) - margin - self.origin) / self.spacing).astype(int)
        hi = np.ceil((world.max(0) + margin - self.origin) / self.spacing).astype(int) + 1
        lo, hi = np.maximum(lo, 0), np.minimum(hi, self.shape)
        return None if np.any(lo >= hi) else tuple(slice(int(a), int(b)) for a, b in zip(lo, hi, strict=True))

    def span(self, low, high, margin: float = 8.0):
        """Slices that hold the canonical box low..high (mm)."""
        corners = np.array([[(low, high)[(i >> a) & 1][a] for a in range(3)] for i in range(8)], float)
        return self.box(corners, margin)

    def xyz(self, box):
        """Canonical coordinates on a box."""
        return self.x[box], self.y[box], self.z[box]

    def tube(self, points, radii, pad: float = 3.0, step: float | None = None):
        """Signed distance to a smooth tube through canonical points, on the box that holds it.

        Args:
            points: (N, 3) canonical mm.
            radii: (N,) or one number, mm.
            pad: distances are right up to this far outside, FAR beyond.
            step: resampling mm.

        Returns:
            (slices, distances float32) or (None, None) outside the canvas.
        """
        mean = float(np.mean(radii))
        p, r = curve(points, step or max(6.0, 0.7 * mean), radii)
        world = self.body.to_world(p)
        big = self._world_box(world, float(r.max()) + pad + 2)
        if big is None:
            return None, None
        out = np.full([s.stop - s.start for s in big], FAR, np.float32)
        for i in range(len(p) - 1):
            box = self._world_box(world[i : i + 2], float(max(r[i], r[i + 1])) + pad + 1)
            if box is None:
                continue
            local = tuple(slice(b.start - g.start, b.stop - g.start) for b, g in zip(box, big, strict=True))
            near = capsule(*self.xyz(box), p[i], p[i + 1], r[i], r[i + 1])
            np.minimum(out[local], near, out=out[local])
        return big, out

    def level(self, name: str, distance, allowed, millilitres: float, limit: float = 40.0) -> float:
        """The iso-value of `distance` that gives the wanted volume within `allowed`; decided in the coarse pass."""
        if self.recording:
            values = distance[allowed]
            wanted = int(millilitres / (self.voxel_ml * 1.0))
            wanted = min(max(wanted, 1), max(values.size - 1, 0))
            value = float(np.partition(values, wanted)[wanted]) if values.size > 1 else 0.0
            self.plan.levels[name] = float(np.clip(value, -limit, limit))
        return self.plan.levels.get(name, 0.0)

    def paint(self, box, mask, label: int | None, tissue: Tissue, over: bool = False):
        """Paint a mask (of the box's shape) on free voxels (or on anything if `over`); returns what was painted."""
        if box is None:
            return None
        if not over:
            mask = mask & self.free[box]
        if label is not None:
            self.labels[box][mask] = label
        self.tissues[box][mask] = tissue
        self.free[box][mask] = False
        return mask

    def noise(self, k: int, box) -> np.ndarray:
        """Smooth unit noise number k on a box: 0..3 about 75 mm, 4..5 about 35 mm wide."""
        return self.field(f"noise{k}", box)
