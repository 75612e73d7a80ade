"""Clavicles, scapulae and humeri."""

from __future__ import annotations

import numpy as np

from training.synthetic.body import Trunk
from training.synthetic.canvas import Canvas
from training.synthetic.shapes import capsule, ellipsoid
from training.synthetic.skeleton import Cage, paint_bone
from training.synthetic.spine import Spine
from training.synthetic.tissue import Tissue


def _triangle(x, y, z, a, b, c):
    """Distance to a triangle with corners a, b, c."""
    a, b, c = (np.asarray(v, float) for v in (a, b, c))
    n = np.cross(b - a, c - a)
    n /= np.linalg.norm(n)
    off = (x - a[0]) * n[0] + (y - a[1]) * n[1] + (z - a[2]) * n[2]
    over = np.full(x.shape, -1e9, np.float32)
    for p, q in ((a, b), (b, c), (c, a)):
        m = np.cross(q - p, n)
        m /= np.linalg.norm(m)
        over = np.maximum(over, (x - p[0]) * m[0] + (y - p[1]) * m[1] + (z - p[2]) * m[2])
    return np.sqrt(off**2 + np.maximum(over, 0) ** 2).astype(np.float32)


def paint_shoulders(canvas: Canvas, spine: Spine, trunk: Trunk, cage: Cage) -> None:
    """Clavicles (73/74), scapulae (71/72), humeri (69/70)."""
    arms = canvas.physique.arms
    joint = canvas.plan.courses["shoulder"]
    st = cage.sternum[0]
    for side in (0, 1):
        rng = canvas.rng(f"shoulder{side}")
        sign = 1.0 if side else -1.0
        f = np.array([sign, 1, 1])
        g = np.asarray(joint[0]) + rng.normal(0, 4, 3) + [0, 0, 2]
        yf = float(trunk.profile("front", st)) + 5
        acromion = g + np.array([-2, -14, 26])
        clav = [
            (18, yf, st - 3),
            (55, yf + 6, st + 8),
            (0.65 * g[0] + 15, (yf + g[1]) / 2 - 4, st + 22),
            acromion - [4, -6, 0],
        ]
        box, d = canvas.tube(np.array(clav) * f, [8.5, 6, 6, 6], 2, 10)
        if box is not None:
            paint_bone(canvas, box, d, 74 if side else 73)
        _humerus(canvas, g, joint, f, 70 if side else 69, arms)
        _scapula(canvas, trunk, spine, g, acromion, f, 72 if side else 71, arms, rng)


def _humerus(canvas, g, joint, f, label, arms) -> None:
    head = g + np.array([8, 6, 0])
    box, d = canvas.tube(np.array([head, head + np.array([0, 0, 1])]) * f, [22, 22], 2)
    if box is not None:
        paint_bone(canvas, box, d, label, 1.8)
    if arms == "absent":
        return
    tip = np.asarray(joint[1])
    start = head + (tip - head) / np.linalg.norm(tip - head) * 10
    box, d = canvas.tube(np.array([start, (start + tip) / 2, tip]) * f, [16, 12, 12], 2, 20)
    if box is not None:
        paint_bone(canvas, box, d, label, 3.5, Tissue.MARROW_FAT)
    if arms == "down":
        box, d = canvas.tube(np.array([joint[1] - [0, 0, 14], joint[2]]) * f, [12, 9], 2, 25)
        if box is not None:
            paint_bone(canvas, box, d, None, 3.0, Tissue.MARROW_FAT)


def _scapula(canvas, trunk, spine, g, acromion, f, label, arms, rng) -> None:
    def wall(x, z, off):
        half = trunk.profile("width", z)
        back, front = trunk.profile("back", z), trunk.profile("front", z)
        u = min(abs(x) / half, 0.93)
        return np.array([x, (back + front) / 2 - (front - back) / 2 * (1 - u**2.4) ** (1 / 2.4) - off, z])

    out = 24 if arms == "up" else 0
    med_top = wall(66 + out * 0.5, spine.level("T2", 0.1), 16)
    low = wall(92 + out * 1.2, spine.level("T7", -0.2) + out * 0.3, 14)
    mid = wall(68 + out, spine.level("T4"), 15)
    glenoid = g + np.array([-20, -4, -2])
    neck = glenoid + np.array([-12, -6, -4])
    pts = np.array([med_top, low, mid, glenoid, acromion]) * f
    box = canvas.box(pts, 16)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    x = x * np.float32(f[0])
    plate = np.minimum(_triangle(x, y, z, med_top, mid, neck), _triangle(x, y, z, mid, low, neck)) - 3.6
    border = np.minimum(capsule(x, y, z, low, neck, 6.5, 8), capsule(x, y, z, med_top, mid, 3.8))
    socket = ellipsoid(x, y, z, glenoid - [3, 2, 0], (8, 14, 18))
    ridge = capsule(x, y, z, (med_top + mid) / 2 + [4, -6, 0], acromion + np.array([-14, -8, -4]), 4, 6)
    acro = capsule(x, y, z, acromion + np.array([-14, -8, -4]), acromion + np.array([2, 6, 0]), 6.5, 7)
    hook = capsule(x, y, z, glenoid + np.array([-8, 6, 14]), glenoid + np.array([-6, 34, 12]), 5.5, 5)
    bone = np.minimum(np.minimum(plate, border), np.minimum(np.minimum(ridge, acro), np.minimum(socket, hook)))
    paint_bone(canvas, box, bone, label, 1.8)
