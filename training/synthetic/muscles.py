"""Labelled muscles: autochthon, iliopsoas, gluteus maximus, medius and minimus."""

from __future__ import annotations

import numpy as np

from training.synthetic.canvas import Canvas
from training.synthetic.pelvis import Pelvis
from training.synthetic.shapes import capsule, ellipsoid, frame, smooth_min
from training.synthetic.spine import Spine
from training.synthetic.tissue import Tissue

_AZ = np.array([-85, -40, 0, 60, 130, 200, 290, 370, 430, 480, 560], float)
_AX = np.array([13, 22, 32, 38, 38, 32, 25, 23, 23, 22, 22], float)
_AY = np.array([-24, -36, -42, -52, -52, -50, -46, -44, -42, -36, -34], float)
_AW = np.array([9, 19, 29, 37, 37, 30, 23, 21, 21, 21, 21], float)
_AD = np.array([8, 14, 18, 23, 23, 19, 14, 13, 15, 17, 17], float)


def paint_muscles(canvas: Canvas, spine: Spine, pelvis: Pelvis) -> None:
    """Autochthon (86/87), iliopsoas (88/89), gluteal muscles (80..85)."""
    for side in (0, 1):
        _psoas(canvas, spine, pelvis, side)
        _gluteal(canvas, pelvis, side)
        _autochthon(canvas, side)


def _autochthon(canvas: Canvas, side: int) -> None:
    box = canvas.span((0 if side else -92, -175, -92), (92 if side else 0, 30, 540), 6)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    m = canvas.physique.muscle
    sx, sy = canvas.field("sx", box), canvas.field("sy", box)
    dx = (x - sx) * (1 if side else -1)
    grow = 0.62 + 0.38 * m
    cx, w = np.interp(z, _AZ, _AX), np.interp(z, _AZ, _AW)
    cy, d = np.interp(z, _AZ, _AY), np.interp(z, _AZ, _AD) * grow
    low = np.interp(z, [-85, -20, 40], [0, 0.35, 1])
    back = np.where(z < 40, low * sy + (1 - low) * (-52), sy)
    q = (np.abs((dx - cx) / w) ** 2.4 + np.abs((y - back - cy) / d) ** 2.4) ** np.float32(1 / 2.4)
    dist = (q - 1) * d + 1.3 * canvas.noise(5, box)
    inner = (dist < 0) & (dx > 2.2) & (z > -85) & (canvas.field("lean", box) < -2.5)
    inner &= (canvas.field("cav", box) > 6.5) | (dx < 40) & (y < sy - 26)
    canvas.paint(box, inner, 87 if side else 86, Tissue.MUSCLE)


def _psoas(canvas: Canvas, spine: Spine, pelvis: Pelvis, side: int) -> None:
    sign = 1 if side else -1
    rng = canvas.rng(f"psoas{side}")
    size = (0.55 + 0.45 * canvas.physique.muscle) * rng.uniform(0.92, 1.08)

    def by(dx, dy, z):
        x, y = spine.centre(z)
        return [float(x + sign * dx), float(y + dy), float(z)]

    points = [by(27, -6, spine.level("L1", 0.2)), by(34, -2, spine.level("L2")), by(43, 4, spine.level("L3"))]
    points += [by(49, 9, spine.level("L4")), by(54, 16, spine.level("L5"))]
    low = [(64, 34, -40), (80, 50, -84), (96, 32, -112), (107, -10, -158)]
    points += [pelvis.out((x * pelvis.wide, y, z), side) for x, y, z in low]
    radii = np.array([6, 11, 15.5, 19, 20, 17.5, 16, 13, 7]) * size * 0.95
    box, d = canvas.tube(points, radii, 3, 10)
    label = 89 if side else 88
    if box is not None:
        canvas.paint(box, d + canvas.noise(5, box) < 0, label, Tissue.MUSCLE)
    wing = [pelvis.out(v, side) for v in ((30, -60, -95), (140, 75, 45), (30, 75, 45), (140, -60, -95))]
    box = canvas.box(np.array(wing), 4)
    if box is None:
        return
    x, y, z = pelvis.local(canvas, box, side)
    beside, inside, half = pelvis.wing(x, y, z)
    depth = 12 * size * np.clip((-inside - 3) / 16, 0, 1) + 2
    sheet = (beside < -half) & (beside > -half - depth) & (inside < -5) & (z > -84) & (y > -48)
    canvas.paint(box, sheet, label, Tissue.MUSCLE)


def _gluteal(canvas: Canvas, pelvis: Pelvis, side: int) -> None:
    rng = canvas.rng(f"gluteal{side}")
    m = (0.6 + 0.4 * canvas.physique.muscle) * rng.uniform(0.93, 1.07)
    ends = [
        pelvis.out(v, side) for v in ((15, -130, -215), (185, 80, 55), (15, 80, 55), (185, -130, -215), (15, -130, 55))
    ]
    box = canvas.box(np.array(ends), 4)
    if box is None:
        return
    x, y, z = pelvis.local(canvas, box, side)
    lean = canvas.field("lean", box)
    beside, inside, half = pelvis.wing(x, y, z)
    tro = pelvis.head + np.array([46 * pelvis.wide, -4, -6])
    n = 1.2 * canvas.noise(5, box)
    mini = np.maximum(np.abs(beside - half - 7.5 * m) - 7.5 * m, np.maximum(inside + 9, np.maximum(z + 14, -20 - y)))
    mini = smooth_min(mini, capsule(x, y, z, (112 * pelvis.wide, 18, -60), tro + np.array([0, 16, 2]), 11 * m, 6), 8)
    canvas.paint(box, (mini + n < 0) & (lean < -3), 85 if side else 84, Tissue.MUSCLE)
    thick = 34 * m * np.clip((3 - inside) / 24, 0.2, 1)
    medi = np.maximum(np.abs(beside - half - 3 - thick / 2) - thick / 2, np.maximum(inside + 1, -88 - z))
    medi = smooth_min(medi, capsule(x, y, z, (118 * pelvis.wide, -6, -55), tro, 19 * m, 9), 12)
    medi = np.maximum(medi, lean + 3)
    canvas.paint(box, medi + n < 0, 83 if side else 82, Tissue.MUSCLE)
    w = pelvis.wide
    a, b = np.array([36 * w, -82, -8]), np.array([132 * w, -34, -152])
    rows = frame(b - a, (0.35, -0.25, 1.0))
    maxi = ellipsoid(x, y, z, (a + b) / 2, (92, 52, 23 * m), rows)
    maxi = np.maximum(np.maximum(maxi, lean + 3), np.maximum(y + 8, 9 - x))
    canvas.paint(box, maxi + n < 0, 81 if side else 80, Tissue.MUSCLE)


def paint_crura(canvas: Canvas, spine: Spine) -> None:
    """Crura of the diaphragm beside the aorta (tissue only), after the aorta."""
    rng = canvas.rng("crura")
    size = rng.uniform(0.7, 1.2)
    high, mid = spine.level("T12", 0.4), spine.level("L1", 0.2)
    right = [spine.pre(10, 18, high), spine.pre(14, 10, mid), spine.pre(9, 3, spine.level("L3", 0.3))]
    left = [spine.pre(-24, 18, high), spine.pre(-21, 9, mid), spine.pre(-12, 3, spine.level("L2"))]
    for points in (right, left):
        box, d = canvas.tube(points, np.array([5.5, 6, 3]) * size, 2)
        if box is not None:
            canvas.paint(box, d < 0, None, Tissue.MUSCLE)
