"""Solid and hollow organs of the upper abdomen: kidneys, adrenals, spleen, stomach, pancreas, gallbladder."""

from __future__ import annotations

import numpy as np

from training.synthetic.canvas import Canvas
from training.synthetic.shapes import capsule, ellipsoid, frame
from training.synthetic.thorax import Mediastinum
from training.synthetic.tissue import Tissue


def cavity(canvas: Canvas, box, wall: float = 3.0, roof: float = 1.8):
    """Where abdominal organs may lie: inside the wall, below the diaphragm, not taken."""
    return (canvas.field("cav", box) < -wall) & (canvas.field("dia", box) < -roof) & canvas.free[box]


def paint_kidneys(med: Mediastinum) -> None:
    """Kidneys (2/3) with cortex, pyramids, sinus fat and pelvis; adrenals (8/9)."""
    canvas, spine, p = med.canvas, med.spine, med.canvas.physique
    rng = canvas.rng("kidneys")
    fat = 6 * p.visceral_fat
    low = rng.uniform(2, 20)
    for side, name, label, ml in ((1, "right", 2, p.kidney_right_ml), (0, "left", 3, p.kidney_left_ml)):
        sign = 1 if side else -1
        z = spine.level("L2", rng.uniform(-0.35, 0.6)) + canvas.plan.courses["shift"][0] - (low - 8 if side else -4)
        x, y = spine.centre(z)
        size = (ml / 160) ** (1 / 3)
        centre = np.array(
            [x + sign * (68 + 5 * size + fat + rng.normal(0, 3)), y - 9 + rng.normal(0, 5) + 0.5 * fat, z]
        )
        lean, pitch = rng.uniform(0.14, 0.38), rng.uniform(0.05, 0.30)
        rows = frame((-sign * lean, -pitch, 1.0), (sign * rng.uniform(0.65, 1.0), rng.uniform(-0.95, -0.35), 0.0))
        _kidney(canvas, centre, rows, size * rng.uniform(0.93, 1.08, 3), side, label, ml)
        inward = -rows[1]
        canvas.plan.landmarks[f"kidney_{name}"] = centre
        canvas.plan.landmarks[f"kidney_hilum_{name}"] = centre + inward * 22 * size + np.array([0, 2, 0])
        _adrenal(med, side, centre, rows, size)


def _kidney(canvas: Canvas, centre, rows, size, side: int, label: int, ml: float) -> None:
    box = canvas.span(centre - 82, centre + 82, 2)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    d = [np.float32(v) for v in centre]
    dx, dy, dz = x - d[0], y - d[1], z - d[2]
    r = rows.astype(np.float32)
    a, b, c = (r[i, 0] * dx + r[i, 1] * dy + r[i, 2] * dz for i in range(3))
    sa, sb, sc = 54 * size[0], 31 * size[1], 27 * size[2]
    b = b + np.float32(7 / sa**2) * a * a
    body = ellipsoid(a, b, c, (0, 0, 0), (sa, sb, sc)) + 1.6 * canvas.noise(4, box)
    notch = ellipsoid(a, b, c, (0, -0.95 * sb, 0), (0.38 * sa, 0.62 * sb, 0.36 * sc))
    sinus = ellipsoid(a, b, c, (0, -0.40 * sb, 0), (0.52 * sa, 0.48 * sb, 0.42 * sc)) + 2.2 * canvas.noise(5, box)
    hole = np.minimum(notch, sinus)
    parenchyma = np.maximum(body, -hole)
    allowed = cavity(canvas, box, 3, 3)
    level = canvas.level(f"kidney{label}", parenchyma, allowed, ml, 9)
    painted = canvas.paint(box, (parenchyma < level) & allowed, label, Tissue.KIDNEY_CORTEX)
    depth = -(body - level)
    ray = np.cos(np.arctan2(c, b) * 5 + a * 0.33) + 0.2
    medulla = painted & (depth > 5.5) & (depth < 15) & (ray > 0) & (hole > 1.5)
    canvas.tissues[box][medulla] = Tissue.KIDNEY_MEDULLA
    pelvis = capsule(a, b, c, (0, -0.25 * sb, 0), (-8, -1.15 * sb, 2), 5.5, 4)
    inside = (body < level + 1) & (hole <= 0)
    canvas.paint(box, (pelvis < 0) & (inside | (b < -0.6 * sb)), None, Tissue.URINE)
    canvas.reserved[box] |= (body < level + 2.5) | ((sinus < 2) & (b < 0))


def _adrenal(med: Mediastinum, side: int, kidney, rows, size: float) -> None:
    canvas, spine = med.canvas, med.spine
    rng = canvas.rng(f"adrenal{side}")
    pole = kidney + rows[0] * (52 * size)
    x, y = spine.centre(pole[2])
    depth = np.interp(pole[2], spine.z, spine.depth)
    if side:
        apex = np.array([x + rng.uniform(27, 33), y + depth + rng.uniform(6, 16), pole[2] + rng.uniform(-2, 12)])
        legs = [apex + np.array([5, -28, -3]), apex + np.array([14, -23, -12])]
    else:
        apex = np.array([x - rng.uniform(30, 39), y + depth + rng.uniform(8, 18), pole[2] + rng.uniform(-18, 0)])
        legs = [apex + np.array([-1, -26, -4]), apex + np.array([-15, -21, -8])]
    top = apex + np.array([0, -4, 10])
    box = canvas.span(apex - 42, apex + 42, 2)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    parts = [capsule(x, y, z, apex, top, 3.2, 2.4)]
    for leg in legs:
        for dz in (0, 8, 15):
            parts.append(
                capsule(x, y, z, apex + np.array([0, 0, dz * 0.6 - 4]), leg + np.array([0, 0, dz - 6]), 3.0, 1.8)
            )
    d = np.minimum.reduce(parts) + 0.4 * canvas.noise(5, box)
    level = 1.4 * float(np.log(canvas.physique.adrenal_ml / 4.4)) + 1.0
    canvas.paint(box, d < level, 8 if side else 9, Tissue.ADRENAL)
    canvas.reserved[box] |= d < level + 2
    canvas.plan.landmarks[f"adrenal_{'right' if side else 'left'}"] = apex


def stomach_course(med: Mediastinum) -> None:
    """Decide the course of stomach, duodenum and pancreas (both passes draw the same numbers)."""
    canvas, spine, trunk = med.canvas, med.spine, med.trunk
    rng, plan = canvas.rng("stomach"), canvas.plan
    left = float(plan.landmarks["dome_left"][2])
    full = (canvas.physique.stomach_ml / 230) ** 0.33
    fundus = np.array(trunk.at(-0.44, 0.06 + rng.normal(0, 0.08), left - 30 * full - 2))
    body = np.array(trunk.at(-0.40 + rng.normal(0, 0.06), 0.54, left - 78 + rng.normal(0, 6)))
    shift = plan.courses["shift"][0]
    pz = spine.level("L1", rng.uniform(-0.6, 0.3)) + shift
    sag = rng.uniform(-22, 26)
    curve_ = np.array(trunk.at(-0.26, 0.64, (body[2] + pz) / 2 - 8 - sag * 0.5))
    antrum = np.array(trunk.at(0.0, 0.62, pz - 6 - sag * 0.5))
    pylorus = np.array(spine.pre(33 + rng.normal(0, 4), 50, pz))
    plan.courses["stomach"] = [np.array([fundus, body, curve_, antrum, pylorus]), np.array([38, 31, 25, 19, 9]) * full]
    h = spine.level("L3", rng.uniform(-0.1, 0.6)) + 0.6 * shift
    d2 = np.array(spine.pre(52, 28, (pz + h) / 2))
    loop = [
        pylorus,
        pylorus + np.array([14, -6, 8]),
        d2 + np.array([3, 8, 18]),
        d2,
        spine.pre(46, 22, h + 8),
        spine.pre(20, 31, h),
        spine.pre(-16, 31, h + 10),
    ]
    loop.append(spine.pre(-32, 44, h + 34))
    plan.courses["duodenum"] = [np.array(loop), rng.uniform(10.5, 14.5)]
    head = np.array(spine.pre(27, 34, (pz + h) / 2 + 4))
    neck = np.array(spine.pre(6, 46, pz - 2))
    tail = np.array(trunk.at(-0.66, -0.22, min(spine.level("T12", rng.uniform(-0.5, 0.4)) + shift, left - 62)))
    mid = np.array(spine.pre(-30, 46, pz + 8))
    plan.courses["pancreas"] = [
        np.array([head + np.array([0, -3, -16]), head, neck, mid, (mid + tail) / 2 + [0, 6, 6], tail]),
        np.array([11, 14, 9.5, 10.5, 9.5, 7.5]),
    ]


def paint_stomach(med: Mediastinum) -> None:
    """Stomach (6) with wall, fluid and gas; duodenum (19); pancreas (7) with portal and splenic vein (64)."""
    canvas, p = med.canvas, med.canvas.physique
    points, radii = canvas.plan.courses["stomach"]
    box, d = canvas.tube(points, radii, 14, 9)
    if box is not None:
        d = d + 2.0 * canvas.noise(2, box) + 1.0 * canvas.noise(4, box)
        allowed = cavity(canvas, box) & ~canvas.reserved[box]
        level = canvas.level("stomach", d, allowed, p.stomach_ml, 14)
        painted = canvas.paint(box, (d < level) & allowed, 6, Tissue.STOMACH_WALL)
        lumen = painted & (d < level - (3.5 if p.stomach_ml > 150 else 4.5))
        canvas.tissues[box][lumen] = Tissue.STOMACH_CONTENT
        y = canvas.y[box]
        surface = float(points[1][1]) + 45 - 75 * p.stomach_gas
        canvas.tissues[box][lumen & (y > surface)] = Tissue.STOMACH_GAS
        canvas.reserved[box] |= d < level + 2
    gullet = [med.junction, (med.junction + points[0]) / 2 + [4, 4, -2], points[0] + [10, 8, -4]]
    box, d = canvas.tube(gullet, 8, 2)
    if box is not None:
        canvas.paint(box, d < 0, 6, Tissue.STOMACH_WALL)


def paint_pancreas(med: Mediastinum) -> None:
    """Duodenum (19), portal and splenic vein (64), pancreas (7)."""
    canvas = med.canvas
    points, radius = canvas.plan.courses["duodenum"]
    box, d = canvas.tube(points, radius, 4, 6)
    if box is not None:
        d = d + 1.2 * canvas.noise(4, box)
        painted = canvas.paint(box, (d < 0) & cavity(canvas, box, 2, 2), 19, Tissue.BOWEL_WALL)
        canvas.tissues[box][painted & (d < -3)] = Tissue.BOWEL_CONTENT
        canvas.tissues[box][painted & (d < -4) & (canvas.noise(3, box) > 1.3)] = Tissue.BOWEL_GAS
        canvas.reserved[box] |= d < 2
    line, radii = canvas.plan.courses["pancreas"]
    neck, mid, tail = line[2], line[3], line[5]
    porta = np.array(med.trunk.at(0.3, 0.02, neck[2] + 34)) + np.array([0, 8, 6])
    canvas.plan.landmarks["porta_hepatis"] = porta
    v = canvas.physique.vein_calibre
    splenic = [
        neck + np.array([2, -9, 2]),
        mid + np.array([0, -8, 1]),
        (mid + tail) / 2 + [0, -4, 8],
        tail + np.array([-8, -8, 8]),
    ]
    portal = [neck + np.array([4, -9, -6]), neck + np.array([12, -8, 12]), porta + np.array([-6, -2, -6]), porta]
    for course, size in ((portal, [8.6, 9.4, 9.0, 9.0]), (splenic, [6.8, 6.2, 5.8, 5.4])):
        box, d = canvas.tube(course, np.array(size) * v**0.5, 3)
        if box is not None:
            canvas.paint(box, d < 0, 64, Tissue.BLOOD_PORTAL)
            canvas.reserved[box] |= d < 1
    box, d = canvas.tube(line, radii, 10, 6)
    if box is None:
        return
    d = d + 1.2 * canvas.noise(5, box) + 0.6 * canvas.noise(4, box)
    allowed = cavity(canvas, box, 2, 2)
    level = canvas.level("pancreas", d, allowed, canvas.physique.pancreas_ml, 10)
    canvas.paint(box, (d < level) & allowed, 7, Tissue.PANCREAS)
    canvas.reserved[box] |= d < level + 2
    canvas.plan.landmarks["pancreas_head"] = line[1]


def paint_spleen(med: Mediastinum) -> None:
    """Spleen (1): a shell on the posterolateral wall under the left dome."""
    canvas, rng, p = med.canvas, med.canvas.rng("spleen"), med.canvas.physique
    left = float(canvas.plan.landmarks["dome_left"][2])
    size = (p.spleen_ml / 200) ** (1 / 3)
    centre = np.array(med.trunk.at(-0.70, rng.uniform(-0.85, -0.50), left - 20 - 23 * size + rng.normal(0, 7)))
    box = canvas.span(centre - 105 * size, centre + 105 * size, 2)
    canvas.plan.landmarks["spleen"] = centre
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    rows = frame((-0.15 + rng.normal(0, 0.1), rng.uniform(0.3, 0.9), -0.75), (0.6, 0.8, 0.5))
    d = ellipsoid(x, y, z, centre, np.array([66, 44, 44]) * size, rows)
    thick = rng.uniform(30, 40) * size
    d = (
        np.maximum(d, -canvas.field("cav", box) - np.float32(thick))
        + 2.2 * canvas.noise(1, box)
        + 1.2 * canvas.noise(5, box)
    )
    allowed = cavity(canvas, box, 2.5, 1.5) & ~canvas.reserved[box]
    level = canvas.level("spleen", d, allowed, p.spleen_ml, 35)
    canvas.paint(box, (d < level) & allowed, 1, Tissue.SPLEEN)
    canvas.reserved[box] |= d < level + 2


def paint_gallbladder(med: Mediastinum) -> None:
    """Gallbladder (4), on the visceral surface of the right liver lobe."""
    canvas, rng, p = med.canvas, med.canvas.rng("gallbladder"), med.canvas.physique
    porta = canvas.plan.landmarks["porta_hepatis"]
    neck = porta + np.array([24, 10, -10])
    fundus = np.array(med.trunk.at(0.50 + rng.normal(0, 0.06), 0.66, porta[2] - rng.uniform(30, 52)))
    canvas.plan.courses["gallbladder"] = [neck, fundus]
    r = 11 * (p.gallbladder_ml / 30) ** (1 / 3)
    box, d = canvas.tube([neck, neck * 0.5 + fundus * 0.5 + [0, -4, 2], fundus], [0.45 * r, 0.95 * r, 1.1 * r], 8, 7)
    canvas.plan.landmarks["gallbladder"] = fundus
    if box is None:
        return
    allowed = cavity(canvas, box, 5, 4) & ~canvas.reserved[box]
    level = canvas.level("gallbladder", d, allowed, p.gallbladder_ml, 9)
    canvas.paint(box, (d < level) & allowed, 4, Tissue.BILE)
    canvas.reserved[box] |= d < level + 1.0
