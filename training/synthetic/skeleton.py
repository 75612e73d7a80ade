"""Vertebrae with discs and canal, ribs with cartilages, sternum."""

from __future__ import annotations

import numpy as np

from training.synthetic.body import Trunk
from training.synthetic.canvas import Canvas
from training.synthetic.shapes import capsule
from training.synthetic.spine import IDS, NAMES, Spine
from training.synthetic.tissue import Tissue

CORTEX_MM = 1.7
_DROP = [38, 50, 66, 84, 97, 107, 116, 128, 136, 140, 160, 185]
_END = [0.80, 0.80, 0.80, 0.79, 0.775, 0.755, 0.73, 0.67, 0.61, 0.545, 0.40, 0.25]
_TALL = [9, 10, 11.5, 12, 12.5, 13, 13, 12.5, 12, 11.5, 10, 8.5]


def paint_bone(
    canvas: Canvas, box, distance, label: int | None, cortex: float = CORTEX_MM, inside=Tissue.CANCELLOUS_BONE
):
    """Paint a bone: cortical shell of `cortex` mm around cancellous bone."""
    if box is None:
        return None
    painted = canvas.paint(box, distance < 0, label, Tissue.CORTICAL_BONE)
    canvas.tissues[box][painted & (distance < -cortex)] = inside
    return painted


def _local(canvas: Canvas, box, spine: Spine, i: int):
    """Coordinates in the frame of vertebra i: right, anterior, up along its axis."""
    x, y, z = canvas.xyz(box)
    t, s = spine.tilt(i), spine.lean(i)
    dx, dy, dz = x - np.float32(spine.x[i]), y - np.float32(spine.y[i]), z - np.float32(spine.z[i])
    ct, st = np.float32(np.cos(t)), np.float32(np.sin(t))
    return dx - np.float32(s) * dz, ct * dy - st * dz, st * dy + ct * dz + np.float32(s) * dx


def _arch(ax, y, z, i: int, w: float, d: float, h: float, rng):
    """Distance to pedicles, laminae, articular, transverse and spinous processes of vertebra i."""
    name, level = NAMES[i][0], int(NAMES[i][1:])
    c = -(d + 8.5)
    ring = np.hypot(ax / 1.12, y - c)
    arch = np.maximum(np.abs(ring - 12.2) - 3.1, np.abs(z - np.where(y > c, 0.35 * h, -0.15 * h)) - h * 0.72)
    facet = capsule(ax, y, z, (14.5 * w / 20 + 2, c - 6, -1.15 * h), (14 * w / 20 + 1, c - 5, 1.1 * h), 4.6)
    j = rng.normal(0, 1, 4)
    if name == "L":
        tp = capsule(ax, y, z, (12, c + 5, 0.2 * h), (40 - 2 * abs(level - 3) + j[0], c - 1 + j[1], 0.35 * h), 5, 3.6)
        reach, low, thick, tall = 27 + j[2], -4 + j[3], 3.2, 9.5
    elif name == "T":
        slope = np.interp(level, [1, 5, 8, 12], [8, 19, 20, 5])
        tp = capsule(
            ax, y, z, (10, c + 2, 2), (np.interp(level, [1, 9, 12], [37, 30, 21]) + j[0], c - 15 + j[1], 5), 5, 4.6
        )
        reach, low, thick, tall = np.interp(level, [1, 6, 12], [30, 26, 22]) + j[2], -slope + j[3], 3.0, 6.0
    else:
        tp = capsule(ax, y, z, (8, c + 6, 0), (24 if level < 7 else 31, c + 3, 0), 5, 4)
        reach, low, thick, tall = (34 if level == 7 else 18) + j[2], -6 + j[3], 3.2, 5.0
    a, b = c - 11, c - 11 - reach
    along = np.clip((a - y) / (a - b), 0, 1)
    over = np.maximum(y - a, 0) + np.maximum(b - y, 0)
    zc = along * low - 0.15 * h
    spinous = np.sqrt(
        np.maximum(ax - thick * 0.5, 0) ** 2
        + np.maximum(np.abs(z - zc) - tall * (0.75 + 0.5 * along), 0) ** 2
        + over**2
    )
    spinous -= thick * 0.62
    return np.minimum(np.minimum(arch, facet), np.minimum(tp, spinous))


def paint_spine(canvas: Canvas, spine: Spine) -> None:
    """Canal content (label 79), vertebrae L5..C1, discs."""
    _canal(canvas, spine)
    for i in range(24):
        w, d, h = spine.width[i], spine.depth[i], spine.half_height[i]
        c = np.array([spine.x[i], spine.y[i], spine.z[i]])
        box = canvas.span(c + np.array([-48, -85, -h - 26]), c + np.array([48, d + 3, h + 14]), 3)
        state = canvas.rng(f"vertebra{i}")
        if box is None:
            continue
        x, y, z = _local(canvas, box, spine, i)
        ax = np.abs(x)
        waist = 1 - 0.10 * np.clip(1 - (z / h) ** 2, 0, 1)
        cross = ((ax / (w * waist)) ** 2.4 + (np.abs(y) / (d * waist)) ** 2.4) ** np.float32(1 / 2.4)
        radial = (cross - 1) * min(w, d) * 0.95
        body = np.maximum(radial, np.abs(z) - h)
        body = np.where((y < -d * 0.55) & (ax < 9), np.maximum(body, -(y + d * 0.98)), body)
        bone = np.minimum(body, _arch(ax, y, z, i, w, d, h, state))
        paint_bone(canvas, box, bone.astype(np.float32), int(IDS[i]))
        if i < 23:
            gap = spine.pitch[i] - spine.half_height[i] - spine.half_height[i + 1]
            disc = np.maximum(radial - 0.5, np.abs(z - h - gap / 2) - gap / 2 - 2.5)
            canvas.paint(box, disc < 0, None, Tissue.DISC)
    for name in NAMES[:-5]:
        i = spine.index(name)
        canvas.plan.landmarks[f"vertebra_{name}"] = np.array([spine.x[i], spine.y[i], spine.z[i]])


def _canal(canvas: Canvas, spine: Spine) -> None:
    zs = np.linspace(-8, 545, 60)
    x, y = spine.centre(zs)
    depth = np.interp(zs, spine.z, spine.depth)
    points = np.stack([x, y - depth - 8.5, zs], 1)
    radii = np.interp(zs, [-8, 30, 200, 400, 545], [6.5, 8, 7.6, 7.6, 9])
    box, d = canvas.tube(points, radii, 2, 14)
    if box is None:
        return
    z = canvas.z[box]
    canvas.paint(box, d < 0, 79, Tissue.CSF)
    radius = np.interp(z, zs, radii).astype(np.float32)
    cord = (d + radius < np.interp(z, [120, 160, 180, 400, 480], [0, 3.2, 4.4, 4.6, 5.5])) & (d < 0)
    canvas.tissues[box][cord & (canvas.labels[box] == 79)] = Tissue.SPINAL_CORD


class Cage:
    """Ribs and cartilages as bands on the wall of the chest cavity: paths of height over the angle phi/pi."""

    def __init__(self, physique, spine: Spine, trunk: Trunk, seed_rng):
        rng = seed_rng
        self.tall = np.array(_TALL) * physique.vertebra_size * rng.uniform(0.88, 1.1)
        t = np.linspace(0, 1, 26)
        self.start = [spine.level(f"T{k + 1}", 0.28) for k in range(12)]
        stretch = rng.uniform(0.86, 1.08) * (1.06 - 0.1 * physique.lung_inflation)
        last = rng.uniform(0.6, 1.1)
        self.ribs: dict[tuple[int, int], tuple] = {}
        self.cartilages: list[tuple] = []
        st_top, st_low = spine.level("T2", -0.5), spine.level("T9", rng.uniform(-0.3, 0.6))
        self.sternum = (st_top, st_low)
        attach = st_low + (st_top - st_low) * np.array([0.93, 0.745, 0.56, 0.41, 0.27, 0.15, 0.06])
        for side in (0, 1):
            paths = []
            for k in range(12):
                end = _END[k] * (last if k == 11 else 1) + rng.normal(0, 0.008)
                phi = t * end
                s = np.clip(phi / 0.8, 0, 1)
                drop = _DROP[k] * stretch * (0.5 * s + 0.25 * (1 - np.cos(np.pi * s)))
                z = self.start[k] - drop + rng.normal(0, 1.2)
                self.ribs[side, k] = (phi, z)
                paths.append((phi, z))
            for k in range(7):
                self._join(side, k, paths, attach[k])
            for k in range(7, 10):
                self._hook(side, k, paths)

    def _join(self, side: int, k: int, paths, goal: float) -> None:
        phi0, z0 = paths[k][0][-1], paths[k][1][-1]
        t = np.linspace(0, 1, 10)
        sag = 0.10 * abs(goal - z0) * np.sin(np.pi * t) * (1 if k > 3 else 0)
        self.cartilages.append((side, k, phi0 + (0.955 - phi0) * t, z0 + (goal - z0) * t ** (1.0 + 0.12 * k) - sag))

    def _hook(self, side: int, k: int, paths) -> None:
        upper = next(c for c in reversed(self.cartilages) if c[0] == side and c[1] == k - 1)
        phi0, z0 = paths[k][0][-1], paths[k][1][-1]
        phi1 = min(phi0 + 0.15, 0.93)
        goal = float(np.interp(phi1, upper[2], upper[3]))
        t = np.linspace(0, 1, 10)
        self.cartilages.append((side, k, phi0 + (phi1 - phi0) * t, z0 + (goal - z0) * t**1.6))


def paint_cage(canvas: Canvas, spine: Spine, trunk: Trunk) -> Cage:
    """Ribs (92..103 left, 104..115 right), sternum (116), costal cartilages (117)."""
    cage = Cage(canvas.physique, spine, trunk, canvas.rng("cage"))
    box = canvas.span((-175, -110, -20), (175, 160, 460), 6)
    if box is None:
        return cage
    cav = canvas.field("cav", box)
    shell = (cav > -2.5) & (cav < 15)
    index = np.nonzero(shell)
    cav, phi = cav[index], canvas.field("phi", box)[index] / np.float32(np.pi)
    z, x = canvas.z[box][index], canvas.x[box][index] - canvas.field("sx", box)[index]
    order = np.argsort(z, kind="stable")
    index = tuple(i[order] for i in index)
    cav, phi, z, x = cav[order], phi[order], z[order], x[order]
    flat = (index, cav, phi, z, x)
    _sternum(canvas, box, flat, cage.sternum, trunk)
    for (side, k), (ps, zs) in cage.ribs.items():
        label = (104 if side else 92) + k
        _band(canvas, box, flat, side, ps, zs, cage.tall[k] / 2, 3.2, label, Tissue.CORTICAL_BONE, 23 if k < 10 else 20)
        _neck(canvas, spine, trunk, k, side, label, cage.start[k])
    for side, k, ps, zs in cage.cartilages:
        _band(canvas, box, flat, side, ps, zs, 5.5 + 0.4 * k, 4.2, 117, Tissue.CARTILAGE, 0)
    return cage


def _band(canvas, box, flat, side, phis, zs, half_tall, half_thick, label, tissue, clear_x) -> None:
    index, cav, phi, z, x = flat
    a, b = np.searchsorted(z, [zs.min() - half_tall - 1, zs.max() + half_tall + 1])
    s = slice(a, b)
    near = ((x[s] > 0) if side else (x[s] < 0)) & (phi[s] >= phis[0]) & (phi[s] <= phis[-1]) & (np.abs(x[s]) > clear_x)
    at = np.nonzero(near)[0] + a
    if at.size == 0:
        return
    slope = np.gradient(zs, phis * 330 / 2 * 1.5 + np.arange(len(phis)) * 1e-6)
    height = (z[at] - np.interp(phi[at], phis, zs)) * np.cos(np.arctan(np.interp(phi[at], phis, slope)))
    d = np.sqrt((height / half_tall) ** 2 + ((cav[at] - half_thick - 1.0) / half_thick) ** 2)
    hit = at[d < 1]
    d = d[d < 1]
    place = tuple(i[hit] for i in index)
    ok = canvas.free[box][place]
    place = tuple(i[ok] for i in place)
    canvas.labels[box][place] = label
    canvas.tissues[box][place] = tissue
    if tissue is Tissue.CORTICAL_BONE:
        inner = d[ok] < 1 - 1.4 / half_thick
        canvas.tissues[box][tuple(i[inner] for i in place)] = Tissue.CANCELLOUS_BONE
    canvas.free[box][place] = False


def _neck(canvas: Canvas, spine: Spine, trunk: Trunk, k: int, side: int, label: int, start: float) -> None:
    """The rib's head and neck, from the vertebral body to the wall."""
    i = spine.index(f"T{k + 1}")
    sign = 1 if side else -1
    w, d = spine.width[i], spine.depth[i]
    head = [spine.x[i] + sign * (w + 1), spine.y[i] - 0.75 * d, start + 1]
    back = float(trunk.profile("back", start))
    wall = [spine.x[i] + sign * 33, back - 4.5, start - 2]
    joint = [spine.x[i] + sign * 25, (back - 4 + spine.y[i] - d - 6) / 2, start]
    box, dist = canvas.tube([head, joint, wall], [4.2, 3.6, 4.0], 2, 6)
    if box is not None:
        lateral = np.abs(canvas.x[box] - np.float32(spine.x[i])) > 29
        paint_bone(canvas, box, np.where(lateral, dist, 9), label)
        paint_bone(canvas, box, np.where(lateral, 9, dist), None)


def _sternum(canvas: Canvas, box, flat, ends, trunk: Trunk) -> None:
    index, cav, _, z, x = flat
    top, low = ends
    t = (top - z) / (top - low)
    half = np.interp(t, [0, 0.08, 0.24, 0.32, 0.75, 0.9, 0.95, 1.12], [26, 29, 17, 16, 20, 13, 6, 4])
    front = canvas.y[box][index] > 20
    thick = np.interp(t, [0, 0.3, 0.9, 1.12], [6.5, 5.2, 4.8, 3])
    d = np.sqrt((np.abs(x) / half) ** 4 + ((cav - thick - 0.5) / thick) ** 2)
    hit = np.nonzero((d < 1) & (t > 0) & (t < 1.12) & front)[0]
    place = tuple(i[hit] for i in index)
    canvas.labels[box][place] = 116
    canvas.tissues[box][place] = np.where(d[hit] < 0.72, Tissue.CANCELLOUS_BONE, Tissue.CORTICAL_BONE)
    canvas.free[box][place] = False
