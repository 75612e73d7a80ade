"""Colon, small bowel, bladder and the genital organs."""

from __future__ import annotations

import numpy as np

from training.synthetic.canvas import Canvas
from training.synthetic.pelvis import Pelvis
from training.synthetic.shapes import curve, ellipsoid
from training.synthetic.thorax import Mediastinum
from training.synthetic.tissue import Tissue


def paint_bladder(med: Mediastinum, pelvis: Pelvis) -> None:
    """Urinary bladder (21), prostate (22) or uterus (tissue only)."""
    canvas, rng, p = med.canvas, med.canvas.rng("bladder"), med.canvas.physique
    r = (p.bladder_ml / 4.19) ** (1 / 3) * 10
    base = pelvis.out((0, 30, -124 if p.sex == "male" else -130), 1)
    centre = base + np.array([rng.normal(0, 2), 0.16 * r, 0.78 * r])
    semi = np.array([1.12, 0.98, 0.86]) * r * np.exp(rng.normal(0, 0.06, 3))
    box = canvas.span(centre - semi * 1.5, centre + semi * 1.5, 2)
    if box is not None:
        d = ellipsoid(*canvas.xyz(box), centre, semi) + 1.6 * canvas.noise(2, box)
        allowed = (canvas.field("cav", box) < -2) & canvas.free[box]
        level = canvas.level("bladder", d, allowed, p.bladder_ml, 16)
        painted = canvas.paint(box, (d < level) & allowed, 21, Tissue.BLADDER_WALL)
        canvas.tissues[box][painted & (d < level - 3)] = Tissue.URINE
        canvas.reserved[box] |= d < level + 2
    canvas.plan.landmarks["bladder"] = centre
    if p.sex == "male":
        centre = base + np.array([0, -3, -16])
        scale = (p.prostate_ml / 28) ** (1 / 3)
        box = canvas.span(centre - 40, centre + 40, 1)
        if box is not None:
            d = ellipsoid(*canvas.xyz(box), centre, np.array([23, 16, 18]) * scale) + 0.8 * canvas.noise(5, box)
            level = canvas.level("prostate", d, canvas.free[box], p.prostate_ml, 6)
            canvas.paint(box, d < level, 22, Tissue.PROSTATE)
        return
    centre = base + np.array([rng.normal(0, 6), -34 + 0.0 * r, 44 + 0.3 * r])
    tube, d = canvas.tube(
        [base + np.array([0, -30, 2]), base + np.array([0, -34, 24]), centre, centre + np.array([0, 16, 14])],
        [11, 13, 21, 15],
        2,
    )
    if tube is not None:
        inside = (d + 1.2 * canvas.noise(5, tube) < 0) & (canvas.field("cav", tube) < -2) & (canvas.labels[tube] == 0)
        canvas.paint(tube, inside, None, Tissue.UTERUS)


def _colon_course(med: Mediastinum, pelvis: Pelvis):
    """Points and radii of the colon from caecum to anus."""
    canvas, spine, t = med.canvas, med.spine, med.trunk
    rng, p = canvas.rng("colon"), canvas.physique
    land = canvas.plan.landmarks
    z1, z4 = spine.level("L1"), spine.level("L4")
    sag = rng.uniform(-10, 75)
    spleen_low = float(land["dome_left"][2]) - rng.uniform(45, 90)
    n = lambda s=0.04: float(rng.normal(0, s))  # noqa: E731
    caecum = [t.at(0.62 + n(), 0.36, -16 + 20 * n(1)), t.at(0.74 + n(), 0.20, z4 - 20)]
    rising = [t.at(0.78 + n(0.03), 0.16 + n(0.1), z4 + 30), t.at(0.74 + n(), 0.22, z1 - 42 + 10 * n(1))]
    across = [
        t.at(0.60 + n(), 0.55, z1 - 40 - 0.2 * sag),
        t.at(0.28, 0.74 + n(0.05), z1 - 34 - 0.7 * sag + 6 * n(1)),
        t.at(-0.05 + n(), 0.78, z1 - 26 - sag),
        t.at(-0.38, 0.70 + n(0.05), z1 - 20 - 0.75 * sag),
        t.at(-0.62, 0.45, z1 + 8 - 0.1 * sag),
    ]
    flexure = [t.at(-0.76, 0.22 + n(0.08), spleen_low)]
    falling = [
        t.at(-0.83, 0.10 + n(0.12), z1 - 14),
        t.at(-0.80 + n(0.02), 0.12 + n(0.12), z4 + 20),
        t.at(-0.74, 0.2, -4),
    ]
    loop = rng.uniform(-30, 55)
    sigmoid = [
        np.array([-64.0, 30, -40]),
        np.array([-34.0, 36, -52 + 0.4 * loop]) + rng.normal(0, 6, 3),
        np.array([8.0 + 0.4 * loop, 16, -46 + loop]) + rng.normal(0, 8, 3),
        np.array([22.0, -8, -44]) + rng.normal(0, 6, 3),
        np.array([4.0, -26, -62]),
    ]
    rectum = [pelvis.out(q, 1) for q in ((0, -48, -84), (2, -50, -108), (0, -34, -134), (0, -36, -158))]
    points = np.array([*caecum, *rising, *across, *flexure, *falling, *sigmoid, *rectum])
    r = np.array([27, 27, 25, 24, 23, 21, 20, 19, 18, 17, 14.5, 13.5, 13, 12.5, 12.5, 13, 13, 14.5, 17, 17, 9, 7])
    r = r * p.colon_calibre * np.exp(rng.normal(0, 0.13, len(r)))
    return points, r


def paint_colon(med: Mediastinum, pelvis: Pelvis) -> None:
    """Colon (20) with haustra, stool, fluid and gas lying in front (supine)."""
    canvas, rng, p = med.canvas, med.canvas.rng("colon content"), med.canvas.physique
    points, radii = curve(*_swap(_colon_course(med, pelvis)))
    s = 6.0 * np.arange(len(points))
    wave = 1 + 0.13 * np.sin(2 * np.pi * s / rng.uniform(26, 36) + rng.uniform(0, 6)) * (s < 0.72 * s[-1])
    radii = radii * wave
    mood = np.convolve(rng.normal(0, 1, len(points) + 8), np.ones(9) / 3, "valid")
    stool = np.convolve(rng.normal(0, 1, len(points) + 12), np.ones(13) / 3.6, "valid")
    parts = []
    for i in range(0, len(points) - 1, 5):
        part = slice(i, min(i + 6, len(points)))
        box, d = canvas.tube(points[part], radii[part], 3, 6)
        if box is None:
            continue
        d = d + 1.0 * canvas.noise(5, box)
        allowed = (canvas.field("cav", box) < (-3 if points[i][2] > -60 else 30)) & (canvas.field("dia", box) < -3)
        canvas.paint(box, (d < 0) & allowed, 20, Tissue.BOWEL_WALL)
        parts.append((i, part, box, d))
        canvas.reserved[box] |= d < 1.5
    for i, part, box, d in parts:
        lumen = (d < -2.2) & (canvas.labels[box] == 20)
        y, r = canvas.y[box], float(radii[part].mean())
        full = stool[i] > 1.2 - 2.4 * p.colon_stool
        canvas.tissues[box][lumen] = Tissue.STOOL if full else Tissue.BOWEL_CONTENT
        gas = float(np.clip(p.colon_gas + 0.35 * mood[i] - (0.15 if full else 0), 0, 1))
        bubbles = lumen & (canvas.noise(5, box) > 1.3) & full
        canvas.tissues[box][bubbles | (lumen & (y > points[part, 1].mean() + r * (1 - 2 * gas)))] = Tissue.BOWEL_GAS


def _swap(course):
    points, radii = course
    return points, 6.0, radii


def plan_small_bowel(med: Mediastinum) -> None:
    """Random walks through the free peritoneal space until the wanted volume is reached (coarse pass only)."""
    canvas = med.canvas
    if not canvas.recording:
        return
    rng, p = canvas.rng("small bowel"), canvas.physique
    f, spine = canvas.plan.fields, med.spine
    top = spine.level("L1", 0.2)
    open_ = canvas.free & ~canvas.reserved & (f["cav"] < -9) & (f["dia"] < -12) & (canvas.z < top) & (canvas.z > -88)
    open_ &= canvas.y > f["sy"] + 22 - 0.25 * np.maximum(-canvas.z, 0)
    open_ &= canvas.labels == 0
    where = np.argwhere(open_)
    courses: list = []
    canvas.plan.courses["small_bowel"] = courses
    if len(where) < 20:
        return
    taken = ~open_
    done, goal, tries = 0.0, p.small_bowel_ml * 1.12, 0
    to_mm = np.stack([canvas.x, canvas.y, canvas.z], -1)
    inverse = 1 / canvas.spacing
    while done < goal and tries < 160:
        tries += 1
        at = where[rng.integers(len(where))]
        if taken[tuple(at)]:
            continue
        r = float(rng.uniform(8.5, 13.5))
        line = _walk(rng, at.astype(float), taken, open_, r, inverse)
        if len(line) < 3:
            continue
        index = np.round(np.array(line)).astype(int)
        mm = to_mm[tuple(index.T)]
        courses.append((mm, r, float(rng.normal()), float(rng.random())))
        for q in index:
            lo, hi = np.maximum(q - 2, 0), q + 3
            taken[lo[0] : hi[0], lo[1] : hi[1], lo[2] : hi[2]] = True
        done += np.pi * r * r * 11 * (len(line) - 1) / 1000 * 0.85


def _walk(rng, start, taken, open_, r: float, inverse) -> list:
    """A persistent walk of 11 mm steps (in voxels) inside `open_` that keeps off what is taken."""
    step = 11.0
    line = [start]
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    shape = np.array(open_.shape)
    for _ in range(int(rng.integers(6, 26))):
        for turn in (0.35, 0.8, 1.3, 2.0):
            new = direction + rng.normal(0, turn, 3)
            new /= np.linalg.norm(new)
            q = line[-1] + new * step * inverse
            i = np.round(q).astype(int)
            if np.all((i >= 1) & (i < shape - 1)) and not taken[tuple(i)]:
                close = [np.linalg.norm((q - o) / inverse) for o in line[:-2]]
                if not close or min(close) > 1.7 * r:
                    line.append(q)
                    direction = new
                    break
        else:
            break
    return line


def paint_mesentery(med: Mediastinum) -> None:
    """Thin vessels from the mesenteric root to the loops and the colon (tissue only)."""
    canvas, rng = med.canvas, med.canvas.rng("mesentery")
    root = np.array(med.spine.pre(4, 42, med.spine.level("L2")))
    goals = [course[0][len(course[0]) // 2] for course in canvas.plan.courses.get("small_bowel", [])][:26]
    for goal in goals:
        bend = 0.55 * root + 0.45 * goal + rng.normal(0, 7, 3)
        box, d = canvas.tube([root + rng.normal(0, 5, 3), bend, goal], [2.4, 1.7, 1.1], 1, 14)
        if box is not None:
            canvas.paint(box, (d < 0) & (canvas.labels[box] == 0), None, Tissue.BLOOD_PORTAL)


def paint_small_bowel(med: Mediastinum) -> None:
    """Small bowel (18): loops with wall, content and now and then gas."""
    canvas: Canvas = med.canvas
    plan_small_bowel(med)
    for points, radius, content, gas in canvas.plan.courses.get("small_bowel", []):
        box, d = canvas.tube(points, radius, 3, 6)
        if box is None:
            continue
        d = d + 1.3 * canvas.noise(5, box) + 0.8 * canvas.noise(4, box)
        allowed = (canvas.field("cav", box) < -4) & (canvas.field("dia", box) < -4) & ~canvas.reserved[box]
        painted = canvas.paint(box, (d < 0) & allowed, 18, Tissue.BOWEL_WALL)
        thick = 3.0 if content > -0.6 else 6.0
        lumen = painted & (d < -thick)
        canvas.tissues[box][lumen] = Tissue.BOWEL_CONTENT
        if gas < 0.18:
            canvas.tissues[box][lumen & (canvas.y[box] > points[:, 1].mean() + radius * 0.3)] = Tissue.BOWEL_GAS
