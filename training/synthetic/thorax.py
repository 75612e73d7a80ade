"""Heart, airways, oesophagus, thyroid, mediastinum and lungs with lobes."""

from __future__ import annotations

import numpy as np

from training.synthetic.body import Trunk
from training.synthetic.canvas import Canvas
from training.synthetic.shapes import FAR, capsule, ellipsoid, frame, smooth_min
from training.synthetic.spine import Spine
from training.synthetic.tissue import Tissue


class Mediastinum:
    """Positions between spine and sternum, and the envelope that the lungs leave free.

    `at(dx, f, z)`: dx mm right of the spine, f 0 (front of the vertebrae) .. 1 (back of the sternum), height z.
    """

    def __init__(self, canvas: Canvas, spine: Spine, trunk: Trunk):
        self.canvas, self.spine, self.trunk = canvas, spine, trunk
        rng = canvas.rng("mediastinum")
        self.shift = rng.normal(0, 2.5)
        top = float(canvas.plan.landmarks["dome_right"][2])
        self.size = (canvas.physique.heart_ml / 600) ** (1 / 3)
        z = top + rng.uniform(16, 32) * self.size
        self.heart = np.array(self.at(-30 + rng.normal(0, 6), 0.55, z))
        self.envelope = np.full(canvas.shape, FAR, np.float32) if canvas.recording else None

    def at(self, dx: float, f: float, z: float) -> list[float]:
        """See the class."""
        x, y = self.spine.centre(z)
        y = float(y + np.interp(z, self.spine.z, self.spine.depth))
        front = float(self.trunk.profile("front", z))
        return [float(x) * 0.8 + dx + self.shift, y + f * (front - y), float(z)]

    def keep(self, box, distance, pad: float = 2.5, k: float = 9.0) -> None:
        """Add a structure to the envelope (coarse pass only)."""
        if self.envelope is not None and box is not None:
            self.envelope[box] = smooth_min(self.envelope[box], distance - np.float32(pad), k)

    def tube(self, points, radii, pad: float = 2.5, k: float = 9.0):
        """`canvas.tube`, added to the envelope."""
        box, d = self.canvas.tube(points, radii, 18.0 if self.canvas.recording else 3.0)
        self.keep(box, d, pad, k)
        return box, d


def paint_heart(med: Mediastinum) -> None:
    """Heart (51) with four chambers, left atrial appendage (61)."""
    canvas, c, s = med.canvas, med.heart, med.size
    box = canvas.span(c - 110 * s, c + 110 * s, 4)
    rng = canvas.rng("heart")
    j = rng.normal(0, 2.0, (5, 3))
    long = frame(np.array([-0.66, 0.52, -0.52]) + rng.normal(0, 0.08, 3))
    parts = {
        "lv": (c + s * (np.array([-27, 8, -8]) + j[0]), np.array([47, 30, 30]) * s, long, 9.5),
        "rv": (c + s * (np.array([6, 27, -16]) + j[1]), np.array([46, 24, 33]) * s, frame((-0.8, 0.35, -0.42)), 4.0),
        "ra": (c + s * (np.array([44, -2, 2]) + j[2]), np.array([24, 27, 33]) * s, None, 3.0),
        "la": (c + s * (np.array([3, -34, 24]) + j[3]), np.array([33, 20, 25]) * s, None, 3.0),
    }
    med.root = c + s * np.array([4, 0, 26])
    med.outflow = c + s * np.array([-14, 24, 38])
    med.ra, med.la = parts["ra"][0], parts["la"][0]
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    d = {n: ellipsoid(x, y, z, a, b, r) for n, (a, b, r, _) in parts.items()}
    tract = capsule(x, y, z, c + s * np.array([-4, 34, 0]), med.outflow, 15 * s, 14 * s)
    whole = smooth_min(smooth_min(d["lv"], d["rv"], 8), smooth_min(d["ra"], d["la"], 8), 9)
    whole = smooth_min(whole, tract, 8) + 0.8 * canvas.noise(4, box)
    allowed = (canvas.field("dia", box) > 2) & (canvas.field("cav", box) < -4) & canvas.free[box]
    depth = np.interp(med.heart[2], med.spine.z, med.spine.depth)
    allowed &= y > canvas.field("sy", box) + np.float32(depth + 15)  # room for the descending aorta and the oesophagus
    level = canvas.level("heart", whole, allowed, canvas.physique.heart_ml, 9)
    med.keep(box, whole - level, 2.2)
    painted = canvas.paint(box, (whole < level) & allowed, 51, Tissue.MYOCARDIUM)
    inside = painted & (whole < level - 2.0)
    for name, tissue in (
        ("la", Tissue.BLOOD_ARTERIAL),
        ("ra", Tissue.BLOOD_RIGHT_HEART),
        ("rv", Tissue.BLOOD_RIGHT_HEART),
    ):
        canvas.tissues[box][inside & (d[name] < level * 0.5 - parts[name][3])] = tissue
    canvas.tissues[box][inside & (tract < -2.5)] = Tissue.BLOOD_RIGHT_HEART
    lv = d["lv"] - level * 0.5
    septum = canvas.tissues[box]
    septum[painted & (lv < 0)] = Tissue.MYOCARDIUM
    septum[painted & (lv < -parts["lv"][3])] = Tissue.BLOOD_ARTERIAL
    septum[painted & (d["la"] < -3) & (lv > -4)] = Tissue.BLOOD_ARTERIAL
    ear = med.la + s * np.array([-26, 14, 4])
    abox, a = med.tube(
        [med.la + s * np.array([-18, 6, 2]), ear, ear + s * np.array([-2, 14, -6])], np.array([13, 12, 9]) * s
    )
    if abox is not None:
        canvas.paint(abox, a < 0, 61, Tissue.BLOOD_ARTERIAL)
    canvas.plan.landmarks["heart"] = c


def paint_airways(med: Mediastinum) -> None:
    """Trachea with main bronchi (16), oesophagus (15), thyroid (17)."""
    canvas, spine = med.canvas, med.spine
    rng, p = canvas.rng("airways"), canvas.physique
    carina = np.array(med.at(2 + rng.normal(0, 2), 0.27, spine.level("T5", rng.uniform(-0.5, 0.4))))
    med.carina = carina
    canvas.plan.landmarks["carina"] = carina
    r = rng.uniform(7.6, 9.8) * (1 if p.sex == "male" else 0.9)
    t1 = spine.level("T1")
    top = [spine.pre(0, 24, 560), spine.pre(0, 22, t1 + 40), spine.pre(rng.normal(0, 1.5), 21, t1)]
    line = [*top, (np.array(top[-1]) + carina) / 2 + [1, 2, 0], carina]
    right, left = carina + np.array([28, -2, -22]), carina + np.array([-36, -4, -24])
    med.hilum = {1: right + np.array([16, 2, -10]), 0: left + np.array([-16, 0, -8])}
    for points, radii in (
        (line, r),
        ([carina + np.array([0, 0, 3]), right], [r * 0.85, 6.5]),
        ([carina + np.array([0, 0, 3]), left], [r * 0.75, 6]),
    ):
        box, d = med.tube(points, radii)
        if box is not None:
            canvas.paint(box, d < 0, 16, Tissue.AIRWAY)
            canvas.paint(box, d < 1.6, None, Tissue.AIRWAY_WALL)
    dome = float(canvas.plan.landmarks["dome_right"][2])
    junction = np.array(med.at(-24 + rng.normal(0, 3), 0.30, min(dome - 32, spine.level("T11", 0.3))))
    med.junction = junction
    food = [
        spine.pre(-1, 9, 560),
        spine.pre(-2, 9, t1),
        spine.pre(-7, 9, carina[2] + 20),
        med.at(-9, 0.13, spine.level("T7")),
    ]
    food += [med.at(-14, 0.19, spine.level("T9")), junction + np.array([5, -4, 16]), junction]
    wide = rng.uniform(5.4, 8.0)
    box, d = med.tube(food, wide)
    if box is not None:
        painted = canvas.paint(box, d < 0, 15, Tissue.BOWEL_WALL)
        lumen = painted & (d < -3.2) & (canvas.noise(3, box) > 0.7)
        canvas.tissues[box][lumen] = Tissue.BOWEL_GAS
    _thyroid(med, t1, rng)


def _thyroid(med: Mediastinum, t1: float, rng) -> None:
    canvas, spine = med.canvas, med.spine
    centre = np.array(spine.pre(0, 17, t1 + rng.uniform(10, 24)))
    box = canvas.span(centre - [36, 26, 40], centre + np.array([36, 26, 40]), 2)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    lobes = ellipsoid(np.abs(x - centre[0]), y, z, (17, centre[1], centre[2]), (9, 11, 23))
    isthmus = ellipsoid(x, y, z, centre + np.array([0, 11, -10]), (16, 4, 8))
    d = smooth_min(lobes, isthmus, 5) + 0.8 * canvas.noise(5, box)
    allowed = canvas.free[box]
    level = canvas.level("thyroid", d, allowed, canvas.physique.thyroid_ml, 6)
    canvas.paint(box, d < level, 17, Tissue.THYROID)


def finish_envelope(med: Mediastinum) -> None:
    """Close the mediastinum around spine, vessels and fat (coarse pass) and keep it as field `med`."""
    canvas = med.canvas
    if med.envelope is None:
        return
    f, spine = canvas.plan.fields, med.spine
    x, y, z = canvas.x, canvas.y, canvas.z
    dx, dy = x - f["sx"], y - f["sy"]
    w = np.interp(z, spine.z, spine.width) + 3
    d = np.interp(z, spine.z, spine.depth)
    column = (np.sqrt((dx / w) ** 2 + ((dy + 9) / (d + 12)) ** 2) - 1) * w
    rng = canvas.rng("envelope")
    fat = rng.uniform(1.5, 3.5) + 5 * canvas.physique.visceral_fat
    front = med.trunk.profile("front", z)
    mid = med.heart[0] * 0.35
    sheet = np.abs(dx - mid * np.interp(z, [240, 330, 380], [1, 0.5, 0])) - fat * np.interp(y, [0, 60], [1.0, 1.2])
    sheet = np.maximum(sheet, np.maximum(y - front - 20, -(dy)))
    upper = spine.level("T4", 0.3)
    block = np.maximum(np.sqrt((dx / 27) ** 2 + ((dy - 32) / 28) ** 2) - 1, -1) * 26 + np.maximum(upper - z, 0)
    out = smooth_min(smooth_min(med.envelope, column.astype(np.float32), 10), sheet.astype(np.float32), 12)
    f["med"] = smooth_min(out, block.astype(np.float32), 12).astype(np.float32) - np.float32(0.25 * fat)


def paint_lungs(med: Mediastinum) -> None:
    """Lobes 10..14: all of the chest cavity that the mediastinum leaves."""
    canvas, spine = med.canvas, med.spine
    box = canvas.span((-190, -130, 60), (190, 190, 470), 6)
    if box is None:
        return
    rng = canvas.rng("lungs")
    x, y, z = canvas.xyz(box)
    cav = canvas.field("cav", box)
    lung = (canvas.field("dia", box) > 0.9) & (cav < -0.8) & (canvas.field("med", box) > 0) & canvas.free[box]
    side = x > canvas.field("sx", box) + np.float32(med.heart[0] * 0.25)
    back = float(med.trunk.profile("back", 300))
    deep = float(med.trunk.profile("front", 300)) - back
    wave = 3.0 * canvas.noise(1, box) + 1.2 * canvas.noise(4, box)
    labels = np.zeros(x.shape, np.uint8)
    for s in (0, 1):
        high = spine.level("T4", rng.uniform(-0.9, 0.6))
        fall = rng.uniform(125, 165) * (1 if s == 0 else 1.02)
        t = (y - back) / deep
        oblique = z - (high - fall * t - 14 * t * t) + wave + (0.10 if s else 0.14) * (np.abs(x) - 70)
        above = oblique > 0
        here = side if s else ~side
        if s == 0:
            labels[here] = np.where(above, 10, 11)[here]
        else:
            level = spine.level("T7", rng.uniform(-1.0, 0.5))
            horizontal = z - level + 3 - 0.10 * (y - 40) + wave
            labels[here] = np.where(above, np.where(horizontal > 0, 12, 13), 14)[here]
    for lobe in range(10, 15):
        canvas.paint(box, lung & (labels == lobe), lobe, Tissue.LUNG)
    _tree(med, box)


def _tree(med: Mediastinum, box) -> None:
    """Pulmonary vessels and bronchi inside the lungs: tissue only, the lobe labels stay."""
    canvas, rng = med.canvas, med.canvas.rng("tree")
    trunk = med.trunk
    for side in (0, 1):
        sign = 1 if side else -1
        hilum = med.hilum[side]
        for k in range(28):
            goal = np.array(trunk.at(sign * rng.uniform(0.35, 0.9), rng.uniform(-0.75, 0.8), rng.uniform(205, 405)))
            bend = (hilum + goal) / 2 + rng.normal(0, 9, 3)
            goal2 = goal + rng.normal(0, 22, 3)
            air = k % 4 == 3
            for points, radii in (
                ([hilum, bend, goal], [5.2, 3.0, 1.4]),
                ([bend, (bend + goal2) / 2 + 3, goal2], [2.8, 2.0, 1.2]),
            ):
                size = np.array(radii) * (0.9 if air else 1.0)
                vbox, d = canvas.tube(points, size, 1.0, 13)
                if vbox is None:
                    continue
                lung = canvas.tissues[vbox] == Tissue.LUNG
                canvas.tissues[vbox][lung & (d < 0)] = Tissue.AIRWAY if air else Tissue.LUNG_VESSEL
                if air:
                    canvas.tissues[vbox][lung & (d >= 0) & (d < 1.0)] = Tissue.AIRWAY_WALL
