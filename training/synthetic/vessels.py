"""Great vessels of chest and abdomen."""

from __future__ import annotations

import numpy as np

from training.synthetic.pelvis import Pelvis
from training.synthetic.thorax import Mediastinum
from training.synthetic.tissue import Tissue


def paint_chest_vessels(med: Mediastinum) -> None:
    """Aorta (52), its arch branches (54..58), veins (59, 60, 62), pulmonary vessels (53 veins)."""
    canvas, spine = med.canvas, med.spine
    rng, p = canvas.rng("vessels"), canvas.physique
    a = p.aorta_calibre * (1 if p.sex == "male" else 0.92)
    t = p.aorta_tortuosity
    top = spine.level("T4", 0.25 + 0.3 * rng.uniform(-1, 1)) - 2
    j = rng.normal(0, 2, 12)
    rise = med.at(17 + j[0], 0.58, (med.root[2] + top) / 2)
    arch = [med.at(12 + j[1], 0.52, top - 24), med.at(-2, 0.40, top - 12), med.at(-18, 0.20, top - 14)]
    down = [
        spine.pre(-27 + j[2], 2, top - 36),
        spine.pre(-26 + j[3], -2, spine.level("T6")),
        spine.pre(-24 + j[4], 1, spine.level("T8")),
    ]
    down += [spine.pre(-16 - 4.8 * t + j[5], 8, spine.level("T10")), spine.pre(-8 + j[6], 12, spine.level("T12"))]
    fork = spine.level("L4", -0.1 + rng.uniform(-0.5, 0.35))
    med.fork = np.array(spine.pre(-3 + j[7], 10, fork))
    down += [
        spine.pre(-6 + 2.7 * t * j[8], 13, spine.level("L1", -0.2)),
        spine.pre(-6 + 2.7 * t * j[9], 12, spine.level("L3", 0.3)),
        med.fork,
    ]
    radii = np.array([14.5, 15.5, 15, 13.8, 13.2, 12.6, 12.2, 12, 11.6, 11, 9.6, 8.8, 8.2]) * a
    med.aorta = [med.root, rise, *arch, *down]
    box, d = med.tube(med.aorta, radii)
    if box is not None:
        canvas.paint(box, d < 0, 52, Tissue.BLOOD_ARTERIAL)
    canvas.plan.landmarks["aortic_arch"] = np.array(arch[1])
    canvas.plan.landmarks["aortic_bifurcation"] = med.fork
    neck = spine.level("C6")
    t1, t2 = spine.level("T1"), spine.level("T2")
    bct = [med.at(0, 0.46, top - 8), med.at(6, 0.56, top + 10), med.at(16, 0.56, t2 + 2)]
    lines = [
        (bct, 6.3, 54),
        ([bct[-1], med.at(40, 0.5, t1 - 4), med.at(75, 0.55, t1 - 6), med.at(120, 0.5, t1 - 20)], 4.6, 55),
        ([bct[-1], spine.pre(26, 18, t1 + 6), spine.pre(28, 16, neck), spine.pre(30, 16, 560)], 3.9, 57),
        (
            [med.at(-8, 0.38, top - 8), spine.pre(-22, 22, t1), spine.pre(-27, 16, neck), spine.pre(-30, 16, 560)],
            3.9,
            58,
        ),
        (
            [
                med.at(-16, 0.24, top - 8),
                spine.pre(-26, 12, t2),
                med.at(-48, 0.5, t1),
                med.at(-80, 0.55, t1 - 8),
                med.at(-122, 0.5, t1 - 20),
            ],
            5.0,
            56,
        ),
    ]
    for points, radius, label in lines:
        box, d = med.tube(points, radius * a**0.5)
        if box is not None:
            canvas.paint(box, d < 0, label, Tissue.BLOOD_ARTERIAL)
    _veins(med, top, rng)
    _pulmonary(med, rng)


def _veins(med: Mediastinum, top: float, rng) -> None:
    canvas, spine, v = med.canvas, med.spine, med.canvas.physique.vein_calibre
    t1 = spine.level("T1")
    meet = np.array(med.at(20 + rng.normal(0, 2), 0.60, top - 5))
    ra_top = med.ra + np.array([-6, -6, 22 * med.size])
    med.atrium = med.ra
    svc = [meet, (meet + ra_top) / 2 + [2, -4, 0], ra_top]
    left = [
        meet + np.array([-2, 0, 2]),
        med.at(-2, 0.76, top + 10),
        med.at(-26, 0.78, t1 - 24),
        med.at(-40, 0.66, t1 - 6),
    ]
    right = [meet + np.array([0, 0, 2]), med.at(26, 0.66, t1 - 26), med.at(35, 0.64, t1 - 6)]
    jug = [(right[-1], 34, 5.5), (left[-1], -34, 5.0)]
    for points, radius, label in ((svc, 11, 62), (left, 6.2, 59), (right, 6.6, 60)):
        box, d = med.tube(points, radius * v)
        if box is not None:
            canvas.paint(box, d < 0, label, Tissue.BLOOD_VENOUS)
    for start, dx, radius in jug:
        sub = [start, med.at(dx * 2.2, 0.66, t1 - 2), med.at(dx * 3.6, 0.62, t1 - 18)]
        for points in ([start, spine.pre(dx, 20, spine.level("C6")), spine.pre(dx, 18, 560)], sub):
            box, d = canvas.tube(points, radius * v, 2)
            if box is not None:
                canvas.paint(box, d < 0, None, Tissue.BLOOD_VENOUS)


def _pulmonary(med: Mediastinum, rng) -> None:
    canvas, s = med.canvas, med.size
    fork = med.carina + np.array([-16, 24, -22])
    r = rng.uniform(11.5, 15)
    trunk = [med.outflow, (med.outflow + fork) / 2 + [-2, 4, 4], fork]
    right = [fork, med.carina + np.array([14, 18, -28]), med.hilum[1] + np.array([6, 10, 2])]
    left = [fork, fork + np.array([-18, -14, 6]), med.hilum[0] + np.array([-6, 4, 10])]
    for points, radii in ((trunk, [r, r, r * 0.9]), (right, [r * 0.85, r * 0.75, 7]), (left, [r * 0.85, r * 0.75, 7])):
        box, d = med.tube(points, radii)
        if box is not None:
            canvas.paint(box, d < 0, None, Tissue.BLOOD_PULMONARY)
    for side in (0, 1):
        sign = 1 if side else -1
        for dz in (8, -12):
            start = med.la + s * np.array([sign * 22, 0, dz * 0.6])
            end = start + np.array([sign * 33.0, -6 + 1.4 * dz, 1.2 * dz + 5])
            box, d = med.tube([start, (start + end) / 2, end], [7, 6.2, 5])
            if box is not None:
                canvas.paint(box, d < 0, 53, Tissue.BLOOD_ARTERIAL)


def paint_abdominal_vessels(med: Mediastinum, pelvis: Pelvis) -> None:
    """IVC (63), iliac arteries (65/66) and veins (67/68), unlabelled visceral branches; before the organs."""
    canvas, spine, p = med.canvas, med.spine, med.canvas.physique
    rng = canvas.rng("abdominal vessels")
    v, a = p.vein_calibre, p.aorta_calibre
    merge = np.array(spine.pre(12, 8, spine.level("L5", rng.uniform(0.0, 0.5))))
    dome = float(canvas.plan.landmarks["dome_right"][2])
    ivc = [
        merge,
        spine.pre(18, 12, spine.level("L3")),
        spine.pre(20, 16, spine.level("L1")),
        spine.pre(23, 24, spine.level("T12", 0.2)),
    ]
    ivc += [med.at(28, 0.25, dome - 36), med.ra + np.array([-8, -14, -24 * med.size])]
    med.ivc = ivc
    box, d = canvas.tube(ivc, np.array([9.2, 9.8, 10.5, 11.5, 12.5, 12.5]) * v, 3)
    if box is not None:
        keep = canvas.labels[box] != 51
        canvas.paint(box, (d < 0) & keep, 63, Tissue.BLOOD_VENOUS)
        canvas.reserved[box] |= d < 1
    for side in (0, 1):
        w = pelvis.wide
        brim = [
            (26, 24, 2),
            (46, 12, -34),
            (56, 36, -70),
            (70, 64, -102),
            (78, 66, -135),
            (82, 54, -190),
            (90, 40, -300),
        ]
        j = rng.normal(0, 2.5, (len(brim), 3)) * [1, 1, 0.5]
        art = [med.fork, *[pelvis.out((q[0] * w, q[1] + 6, q[2]), side) + e for q, e in zip(brim, j, strict=True)]]
        ven = [merge, *[pelvis.out((q[0] * w - 5, q[1] - 8, q[2] - 4), side) + e for q, e in zip(brim, j, strict=True)]]
        cut = pelvis.out((0, 0, -138), side)[2]
        for line, radii, label, tissue in (
            (art, np.array([7.4, 6.8, 6.2, 5.7, 5.4, 5, 4.5, 4]) * a, 66 if side else 65, Tissue.BLOOD_ARTERIAL),
            (ven, np.array([9.5, 9, 8.6, 8.2, 7.8, 7.2, 6, 5]) * v, 68 if side else 67, Tissue.BLOOD_VENOUS),
        ):
            box, d = canvas.tube(line, radii, 2)
            if box is not None:
                z = canvas.z[box]
                canvas.paint(box, (d < 0) & (z > cut), label, tissue)
                canvas.paint(box, (d < 0) & (z <= cut), 0, tissue, over=False)


def paint_branches(med: Mediastinum) -> None:
    """Coeliac trunk, mesenteric and renal vessels (tissue only), after the kidneys."""
    canvas, spine = med.canvas, med.spine
    land = canvas.plan.landmarks
    l1 = spine.level("L1", 0.2) + canvas.plan.courses["shift"][0] * 0.6
    sma = [spine.pre(-4, 18, l1), spine.pre(-2, 34, l1 - 12), spine.pre(2, 36, l1 - 50), spine.pre(10, 48, l1 - 100)]
    smv = [spine.pre(12, 36, l1 - 18), spine.pre(12, 38, l1 - 55), spine.pre(18, 48, l1 - 105)]
    coeliac = [spine.pre(-4, 18, l1 + 15), spine.pre(-3, 36, l1 + 16), spine.pre(20, 42, l1 + 20)]
    lines = [(sma, [3.8, 3.6, 3.3, 2], Tissue.BLOOD_ARTERIAL), (coeliac, [3.6, 3.2, 2.6], Tissue.BLOOD_ARTERIAL)]
    lines.append((smv, [5.5, 5, 3.5], Tissue.BLOOD_PORTAL))
    for side, name in ((0, "left"), (1, "right")):
        hilum = land[f"kidney_hilum_{name}"]
        z = hilum[2] + 6
        start = spine.pre(-6, 10, z)
        lines.append(([start, (np.array(start) + hilum) / 2 + [0, -3, 1], hilum], [3, 2.8, 2.4], Tissue.BLOOD_ARTERIAL))
        vein = spine.pre(20, 9, z + 3) if side else spine.pre(12, 22, z + 4)
        mid = [spine.pre(-6, 23, z + 4)] if side == 0 else []
        lines.append(([vein, *mid, hilum + np.array([0, 5, 2])], 4.2, Tissue.BLOOD_VENOUS))
    for points, radii, tissue in lines:
        box, d = canvas.tube(points, radii, 2)
        if box is not None:
            canvas.paint(box, d < 0, None, tissue)
