"""The liver and the vessels inside it."""

from __future__ import annotations

import numpy as np

from training.synthetic.shapes import capsule, ellipsoid, frame, smooth_min
from training.synthetic.thorax import Mediastinum
from training.synthetic.tissue import Tissue
from training.synthetic.viscera import cavity


def paint_liver(med: Mediastinum) -> None:
    """Liver (5): fills the right upper abdomen under the dome, left lobe across the midline; vessels inside."""
    canvas, rng, p, trunk = med.canvas, med.canvas.rng("liver"), med.canvas.physique, med.trunk
    top = float(canvas.plan.landmarks["dome_right"][2])
    box = canvas.span((-150, -110, top - 265), (175, 180, top + 25), 2)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    half = float(trunk.profile("width", top - 60))
    right = ellipsoid(x, y, z, trunk.at(0.53, 0.04, top - 78), (0.60 * half, 88, 100 + 30 * p.riedel))
    long = rng.uniform(54, 88) * p.left_lobe
    left = ellipsoid(x, y, z, trunk.at(-0.02, 0.45, top - 48), (long, 52, 42), frame((1, 0.12, -0.22)))
    d = smooth_min(right, left, 26)
    low = np.interp(
        x / half, [-0.9, -0.4, 0.1, 0.45, 0.8, 1.0], [-58, -70, -90, -122, -152, -170]
    ) - 30 * p.riedel * np.clip(x / half - 0.5, 0, 1)
    tilt = np.float32(rng.uniform(-0.45, -0.05))
    visceral = (top + low + tilt * (y - 40) - z) * np.float32(0.85)
    d = np.maximum(d, visceral.astype(np.float32)) + 2.5 * canvas.noise(0, box) + 1.2 * canvas.noise(5, box)
    porta = canvas.plan.landmarks["porta_hepatis"]
    hilum = ellipsoid(x, y, z, porta + np.array([-14, -4, -10]), (20, 18, 13))
    spine_x, spine_y = canvas.field("sx", box), canvas.field("sy", box)
    column = np.hypot(x - spine_x, (y - spine_y)) - 34
    low_gb = canvas.plan.courses["gallbladder"]
    fossa = capsule(x, y, z, low_gb[0] - [0, 0, 24], low_gb[1] - [0, 0, 30], 15, 19)
    pylorus = canvas.plan.courses["stomach"][0][-1]
    bulb = np.minimum(
        capsule(x, y, z, porta, pylorus, 11, 19), capsule(x, y, z, pylorus, pylorus + np.array([10, 8, -60]), 24, 34)
    )
    d = np.maximum(d, np.maximum(np.maximum(-hilum, -column), np.maximum(-fossa, -bulb)))
    allowed = cavity(canvas, box, 2.5, 1.3) & ~canvas.reserved[box] & (x > -0.86 * half)
    level = canvas.level("liver", d, allowed, p.liver_ml, 45)
    canvas.paint(box, (d < level) & allowed, 5, Tissue.LIVER)
    canvas.reserved[box] |= d < level + 1.5
    _liver_vessels(med, porta, top)


def _liver_vessels(med: Mediastinum, porta, top: float) -> None:
    canvas, trunk, rng = med.canvas, med.trunk, med.canvas.rng("liver vessels")
    ivc = np.array(med.at(28, 0.25, top - 34))
    goals = [trunk.at(0.78, -0.1, top - 85), trunk.at(0.45, 0.3, top - 70), trunk.at(0.0, 0.5, top - 62)]
    lines = [([ivc, (ivc + np.array(g)) / 2 + rng.normal(0, 5, 3) + [0, 0, 8], g], [5, 3.6, 1.5]) for g in goals]
    ends = [
        trunk.at(0.78, 0.2, top - 110),
        trunk.at(0.7, -0.4, top - 95),
        trunk.at(0.5, 0.5, top - 95),
        trunk.at(-0.1, 0.5, top - 75),
    ]
    lines += [([porta, (porta + np.array(g)) / 2 + rng.normal(0, 5, 3), g], [5.5, 3.6, 1.5]) for g in ends]
    for points, radii in lines:
        box, d = canvas.tube(points, radii, 1, 10)
        if box is not None:
            inside = (canvas.labels[box] == 5) & (d < 0)
            canvas.tissues[box][inside] = Tissue.LIVER_VESSEL
