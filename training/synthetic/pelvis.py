"""Hip bones, sacrum and femurs."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.synthetic.canvas import Canvas
from training.synthetic.shapes import capsule, ellipsoid, polygon_distance, smooth_min
from training.synthetic.skeleton import paint_bone
from training.synthetic.spine import Spine
from training.synthetic.tissue import Tissue

_OUTLINE = [  # ilium seen from the side: y, z, x
    (-74, -8, 46),
    (-66, 12, 51),
    (-40, 29, 72),
    (-8, 38, 106),
    (34, 28, 130),
    (64, -4, 127),
    (61, -18, 123),
    (50, -42, 110),
    (46, -62, 99),
    (38, -84, 88),
    (8, -98, 80),
    (-18, -88, 74),
    (-25, -70, 68),
    (-36, -60, 60),
    (-60, -50, 50),
    (-72, -32, 46),
]
_SURFACE = [  # points on the wing's mid-surface: y, z, x; flat behind, steep in the middle, flat in front
    (-58, -14, 54),
    (-40, -14, 59),
    (-20, -14, 73),
    (0, -14, 100),
    (20, -14, 119),
    (45, -14, 124),
    (-40, -35, 60),
    (-12, -35, 78),
    (10, -35, 103),
    (30, -35, 115),
    (10, 15, 116),
    (-20, 15, 84),
    (0, -60, 83),
    (25, -60, 94),
]
_STEP = 2.0


class Pelvis:
    """Geometry of the hip bones: the iliac wing as a graph x = f(y, z), the joints and the tubercles (right side)."""

    def __init__(self, physique, rng):
        self.wide = physique.pelvis_width
        self.tall = 0.5 + 0.5 * physique.height if physique.sex == "male" else 0.46 + 0.5 * physique.height
        self.angle = np.radians(physique.pelvic_tilt_deg)
        out = np.array(_OUTLINE, float)
        out[:, :2] *= 1 + rng.normal(0, 0.02)
        out[:, 2] *= self.wide
        flare = 1 + rng.normal(0, 0.05)
        known = np.r_[out, np.array(_SURFACE, float) * [1, 1, self.wide]]
        self.fit = np.linalg.lstsq(self._terms(known[:, 0], known[:, 1]), known[:, 2], rcond=None)[0]
        ys, zs = np.arange(-110, 100, _STEP), np.arange(-150, 80, _STEP)
        yy, zz = np.meshgrid(ys, zs, indexing="ij")
        self.origin = (ys[0], zs[0])
        surface = self._terms(yy, zz) @ self.fit
        surface = np.where(zz > 0, surface * (1 + (flare - 1) * np.clip(zz / 40, 0, 1)), surface)
        gy, gz = np.gradient(surface, _STEP)
        inside = polygon_distance(yy, zz, out[:, :2])
        rim = np.exp(-(((inside + 4) / 5.0) ** 2))
        thick = 7.5 + 6.5 * rim + 17 * np.exp(-(((yy - 8) / 34) ** 2 + ((zz + 88) / 34) ** 2))
        thick += 15 * np.exp(-(((yy + 36) / 26) ** 2 + ((zz + 22) / 26) ** 2))
        self.tables = [surface, 1 / np.sqrt(1 + gy**2 + gz**2), inside, thick / 2]
        self.head = np.array([90 * self.wide, 6.0, -104.0])
        self.head_radius = rng.uniform(22, 25.5) * (1 if physique.sex == "male" else 0.93)
        self.symphysis = np.array([5.0, 64.0, -112.0])
        self.tuber = np.array([(58 if physique.sex == "male" else 64) * self.wide, -26.0, -158.0])

    @staticmethod
    def _terms(y, z):
        step = np.tanh((y + 4) / 22)
        y, z = y / 60, z / 60
        return np.stack([np.ones_like(y), y, z, y * y, y * z, z * z, y**3, y * y * z, step, step * z], -1)

    def local(self, canvas: Canvas, box, side: int):
        """Coordinates in the pelvis frame, right side positive x."""
        x, y, z = canvas.xyz(box)
        c, s = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        dz = z + 60
        y, z = c * y - s * dz, (s * y + c * dz - 60) / np.float32(self.tall)
        return (x if side else -x), y, z

    def out(self, point, side: int) -> np.ndarray:
        """Canonical position of a pelvis-frame point of the right or left side."""
        x, y, z = point
        c, s = np.cos(self.angle), np.sin(self.angle)
        dz = z * self.tall + 60
        return np.array([x if side else -x, c * y + s * dz, -s * y + c * dz - 60])

    def wing(self, x, y, z):
        """Distance beside the wing's mid-surface (positive lateral), outline distance and half thickness."""
        at = [((y - self.origin[0]) / _STEP).ravel(), ((z - self.origin[1]) / _STEP).ravel()]
        s, n, inside, half = (
            ndimage.map_coordinates(t.astype(np.float32), at, order=1, mode="nearest").reshape(x.shape)
            for t in self.tables
        )
        return (x - s) * n, inside, half


def paint_pelvis(canvas: Canvas, spine: Spine) -> Pelvis:
    """Sacrum (25) with S1 (26), hips (77/78), femurs (75/76)."""
    pelvis = Pelvis(canvas.physique, canvas.rng("pelvis"))
    _sacrum(canvas, spine, pelvis)
    for side in (0, 1):
        _femur(canvas, pelvis, side)
    for side in (0, 1):
        _hip(canvas, pelvis, side)
    canvas.plan.landmarks["symphysis"] = pelvis.out([0, 64, -112], 1)
    for side, name in enumerate(("left", "right")):
        canvas.plan.landmarks[f"femoral_head_{name}"] = pelvis.out(pelvis.head, side)
    return pelvis


def _hip(canvas: Canvas, p: Pelvis, side: int) -> None:
    ends = [p.out(v, side) for v in ((-2, -85, -185), (-2, 85, -185), (150, -85, 55), (150, 85, 55))]
    ends += [p.out(v, side) for v in ((150, -85, -185), (150, 85, -185), (-2, 85, 55), (-2, -85, 55))]
    box = canvas.box(np.array(ends), 3)
    if box is None:
        return
    x, y, z = p.local(canvas, box, side)
    beside, inside, half = p.wing(x, y, z)
    wing = np.maximum(np.abs(beside) - half, inside)
    h, w = p.head, p.wide
    to_head = np.sqrt((x - h[0]) ** 2 + (y - h[1]) ** 2 + (z - h[2]) ** 2)
    r = p.head_radius + 3.0
    cup = np.maximum(to_head - r - 9, (x - h[0]) * 0.80 + (y - h[1]) * 0.30 - (z - h[2]) * 0.50 - 9)
    pubis = capsule(x, y, z, (72 * w, 30, -96), (18, 62, -108), 10, 8.5)
    body = ellipsoid(x, y, z, (13, 62, -116), (11, 11, 21))
    lower = capsule(x, y, z, (12, 58, -132), (40, 24, -152), 6.5, 7)
    lower = np.minimum(lower, capsule(x, y, z, (40, 24, -152), p.tuber + np.array([-2, 8, 0]), 7, 11))
    ischium = capsule(x, y, z, (80 * w, -20, -112), p.tuber, 15, 16)
    spine_ = capsule(x, y, z, (76 * w, -28, -104), (62 * w, -44, -108), 9, 4)
    bone = smooth_min(smooth_min(wing, cup, 8), smooth_min(pubis, body, 6), 8)
    bone = smooth_min(bone, smooth_min(ischium, np.minimum(lower, spine_), 6), 8)
    bone = np.maximum(np.maximum(bone, r - to_head), 2.2 - x)
    bone = bone + 0.7 * canvas.noise(4, box)
    paint_bone(canvas, box, bone, 78 if side else 77, 2.2)
    canvas.paint(box, (x < 2.3) & (x > -2.3) & (np.abs(y - 63) < 9) & (np.abs(z + 115) < 18), None, Tissue.CARTILAGE)
    canvas.paint(box, to_head < r, None, Tissue.CARTILAGE)


def _femur(canvas: Canvas, p: Pelvis, side: int) -> None:
    h, w = p.head, p.wide
    rng = canvas.rng(f"femur{side}")
    tro = np.array([h[0] + 43 * w, -10, h[2] - 12]) + rng.normal(0, 2, 3)
    low = np.array([h[0] + 30, 12, -345]) + rng.normal(0, 5, 3)
    top = np.array([h[0] + 36, -3, h[2] - 40])
    minor = np.array([h[0] + 17, -16, h[2] - 58])
    label = 76 if side else 75
    marks = np.array([p.out(v, side) for v in (h, tro, top, minor)])
    box = canvas.box(np.r_[marks, [marks.min(0) - [5, 5, 30]]], 30)
    if box is not None:
        x, y, z = p.local(canvas, box, side)
        head = np.sqrt((x - h[0]) ** 2 + (y - h[1]) ** 2 + (z - h[2]) ** 2) - p.head_radius
        neck = capsule(x, y, z, h, (tro + top) / 2 - [8, 0, 2], 15.5, 16)
        great = smooth_min(ellipsoid(x, y, z, tro, (13, 19, 20)), capsule(x, y, z, tro, top, 15, 17), 8)
        small = capsule(x, y, z, minor, top - [4, 0, 14], 8.5, 12)
        shaft = capsule(x, y, z, top, low, 17.5, 14)
        bone = smooth_min(smooth_min(head, neck, 5), smooth_min(great, np.minimum(small, shaft), 8), 6)
        paint_bone(canvas, box, bone, label, 2.0)
    shaft_ends = [p.out(top, side), p.out(low, side)]
    sbox, d = canvas.tube(shaft_ends, [17.5, 14.5], 2, 25)
    if sbox is not None:
        paint_bone(canvas, sbox, d, label, 5.0, Tissue.MARROW_FAT)


def _sacrum(canvas: Canvas, spine: Spine, p: Pelvis) -> None:
    rng = canvas.rng("sacrum")
    y0 = float(spine.centre(0)[1])
    bow = rng.uniform(0.75, 1.2)
    line = np.array(
        [(0, y0, 0), (0, y0 - 16, -24), (0, -40, -46), (0, -58, -68), (0, -66, -88), (0, -65, -106), (0, -56, -121)],
        float,
    )
    line[2:6, 1] -= 22 * (bow - 1)
    half = np.array([55, 59, 54, 40, 27, 12, 6]) * p.wide
    thick = np.array([17, 16, 14, 11, 8.5, 6, 5])
    box = canvas.span(line.min(0) - [64, 34, 10], line.max(0) + np.array([64, 22, 6]), 3)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    ax = np.abs(x)
    best = np.full(x.shape, 60, np.float32)
    upper = np.zeros(x.shape, bool)
    for i in range(6):
        a, b = line[i], line[i + 1]
        e = (b - a) / np.linalg.norm(b - a)
        t = ((y - a[1]) * e[1] + (z - a[2]) * e[2]) / np.linalg.norm(b - a)
        n = (y - a[1]) * -e[2] + (z - a[2]) * e[1]
        tc = np.clip(t, 0, 1)
        w, d = half[i] + tc * (half[i + 1] - half[i]), thick[i] + tc * (thick[i + 1] - thick[i])
        lateral = 1 - (0.4 if i == 0 else 0.3) * np.clip((ax - 16) / 34, 0, 1)
        shift = (11 if i == 0 else 6) * np.clip(ax / 40, 0, 1) ** 2 * (i < 3)
        q = (np.abs(ax / w) ** 3 + np.abs((n + shift) / (d * lateral)) ** 2.5) ** np.float32(1 / 2.7)
        part = np.maximum((q - 1) * d * 0.9, (np.abs(t - 0.5) - 0.5) * np.linalg.norm(b - a))
        best = np.minimum(best, part)
        if i == 0:
            upper = (t < 1) & (t > -0.5) & (ax < 32 * p.wide) & (n + d > -34)
        crest = np.sqrt((ax / 4) ** 2 + ((n + d + 5) / 9) ** 2) - 1
        best = np.minimum(best, np.maximum(crest * 4, (np.abs(t - 0.5) - 0.5) * 26)) if i < 4 else best
    canal = np.sqrt(x**2 + (y - (y0 - 27 - (0 - z) * 0.5)) ** 2) - 7
    best = np.maximum(best, np.where(z > -45, -canal, -60)).astype(np.float32)
    paint_bone(canvas, box, np.where(upper, best, 60), 26)
    paint_bone(canvas, box, best, 25)
    canvas.paint(box, (canal < 0) & (z > -45) & (z < 6), None, Tissue.CSF)
    canvas.plan.landmarks["sacrum"] = line[2]
