"""The trunk: inner cavity, muscular wall, skin and diaphragm as fields on the plan canvas, and filling the body."""

from __future__ import annotations

import numpy as np

from training.synthetic.canvas import Canvas
from training.synthetic.physique import Physique, stream
from training.synthetic.shapes import capsule, ellipsoid, smooth_min, smooth_noise
from training.synthetic.spine import Spine
from training.synthetic.tissue import Tissue

_Z = np.array([-190, -140, -105, -60, -20, 30, 90, 160, 240, 300, 350, 395, 420, 442], float)
_WIDTH = np.array([8, 30, 52, 72, 108, 123, 124, 128, 133, 130, 120, 95, 74, 46], float)
_FRONT = np.array([10, 46, 68, 86, 99, 108, 116, 121, 120, 114, 101, 82, 67, 50], float)
_BACK_PELVIS = np.array([-20, -50, -62, -56, -30], float)
_BACK_OFF = np.array([26, 27, 30, 33, 32, 30, 24, 18, 10], float)
_LEAN_WIDTH = np.array([95, 145, 152, 143, 140, 138, 138, 142, 150, 153, 152, 134, 104, 66], float)
_LEAN_FRONT = np.array([40, 74, 86, 98, 110, 119, 127, 132, 131, 128, 120, 101, 82, 66], float)
_LEAN_BACK_PELVIS = np.array([-66, -98, -107, -106, -90], float)
_LEAN_BACK_OFF = np.array([80, 80, 74, 62, 57, 57, 62, 64, 60], float)
_FAT_Z = np.array([-250, -105, -50, 40, 150, 260, 380, 460], float)
_FAT = np.array([1.05, 1.35, 1.45, 1.2, 0.95, 0.7, 0.6, 0.5], float)


class Trunk:
    """Profiles of the trunk over height: cavity half-width, front and back, and those of the muscular wall.

    `at(u, v, z)` gives a point by its share of the cavity: u -1..1 left to right, v -1..1 back to front.
    """

    def __init__(self, physique: Physique, spine: Spine, seed: int):
        rng = stream(seed, "trunk")
        p = physique
        self.spine = spine
        wide = np.interp(_Z, [-60, 20, 130, 260], [p.pelvis_width, p.abdomen_width, p.abdomen_width, p.chest_width])
        deep = np.interp(_Z, [-60, 40, 130, 260], [1.0, p.abdomen_depth, p.abdomen_depth, p.chest_depth])
        belly = 34 * (p.visceral_fat - 0.3) * np.interp(_Z, [-90, 60, 150, 260], [0, 1, 0.9, 0.1])
        wobble = 1 + rng.normal(0, 0.012, len(_Z))
        self.width = _WIDTH * wide * wobble
        self.front = -8 + (_FRONT + 8) * deep + belly
        _, y = spine.centre(_Z)
        off = np.interp(_Z, [0, 250], [1, 0.5 + 0.5 * p.chest_width])
        self.back = np.r_[_BACK_PELVIS, (y[5:] - _BACK_OFF * off[5:])]
        muscle = 0.35 + 0.65 * p.muscle
        self.lean_width = self.width + (_LEAN_WIDTH - _WIDTH) * np.where(_Z > 0, muscle, 0.35 + 0.65 * p.pelvis_width)
        self.lean_front = self.front + (_LEAN_FRONT - _FRONT) * muscle
        thick = 0.6 + 0.4 * p.muscle
        self.lean_back = np.r_[_LEAN_BACK_PELVIS * thick**0.5, y[5:] - _LEAN_BACK_OFF * thick]
        self.exponent = rng.uniform(2.25, 2.7)

    def profile(self, name: str, z):
        """Interpolate one of width, front, back, lean_width, lean_front, lean_back at heights z."""
        return np.interp(z, _Z, getattr(self, name))

    def at(self, u: float, v: float, z: float) -> list[float]:
        """A point of the cavity: u -1..1 left to right, v -1..1 back to front, height z mm."""
        half = self.profile("width", z)
        front, back = self.profile("front", z), self.profile("back", z)
        x = float(self.spine.centre(z)[0]) * 0.6
        return [float(x + u * half), float((front + back) / 2 + v * (front - back) / 2), float(z)]


def _slab(x, y, z, trunk: Trunk, prefix: str, power: float):
    """Normalised radius of a lofted superellipse: below 1 inside."""
    half = trunk.profile(prefix + "width", z)
    front, back = trunk.profile(prefix + "front", z), trunk.profile(prefix + "back", z)
    u = np.abs(x) / half
    v = np.abs(y - (front + back) / 2) / ((front - back) / 2)
    return ((u**power + v**power) ** (1 / power)).astype(np.float32)


def _normalise(radius, spacing, floor=1 / 160):
    """First-order distance of a level function to its zero."""
    g = np.gradient(radius, *spacing)
    return radius / np.maximum(np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2), floor)


def plan_body(canvas: Canvas, spine: Spine, trunk: Trunk) -> None:
    """Compute the fields of the body on the plan canvas: cav, lean, skin, dia, phi and noises."""
    f, rng = canvas.plan.fields, canvas.rng("body")
    for k in range(6):
        f[f"noise{k}"] = smooth_noise(canvas.rng(f"noise{k}"), canvas.shape, canvas.spacing, 75 if k < 4 else 35)
    x, y, z = canvas.x, canvas.y, canvas.z
    zs = np.arange(-320, 561, 1.0)
    sx = np.interp(z, zs, spine.centre(zs)[0]).astype(np.float32) * np.float32(0.6)
    f["sx"] = np.interp(z, zs, spine.centre(zs)[0]).astype(np.float32)
    f["sy"] = np.interp(z, zs, spine.centre(zs)[1]).astype(np.float32)
    xc = x - sx
    half = trunk.profile("width", z)
    mid = (trunk.profile("front", z) + trunk.profile("back", z)) / 2
    f["phi"] = np.arctan2(np.abs(xc) / half, -(y - mid) / (trunk.profile("front", z) - mid)).astype(np.float32)
    radius = _slab(xc, y, z, trunk, "", trunk.exponent) - 1
    cav = np.maximum(_normalise(radius, canvas.spacing), np.maximum(z - 446, -158 - z))
    f["cav"] = (cav + 1.5 * f["noise0"]).astype(np.float32)
    f["lean"] = _lean(canvas, spine, trunk, xc).astype(np.float32)
    f["skin"] = _skin(canvas, spine, trunk, xc, rng).astype(np.float32)
    f["dia"] = _diaphragm(canvas, spine, trunk, xc).astype(np.float32)


def _lean(canvas: Canvas, spine: Spine, trunk: Trunk, xc):
    x, y, z = xc, canvas.y, canvas.z
    p = canvas.physique
    out = _normalise(_slab(x, y, z, trunk, "lean_", 2.35) - 1, canvas.spacing)
    furrow = np.exp(-((x / 16) ** 2)) * np.interp(z, [-80, 20, 300, 420], [2, 9, 7, 3])
    out = np.maximum(out + np.where(y < canvas.plan.fields["sy"], furrow, 0), np.maximum(z - 452, -205 - z))
    muscle = 0.6 + 0.4 * p.muscle
    ax = np.abs(x)
    wide = p.pelvis_width
    out = smooth_min(
        out, capsule(ax, y, z, (86 * wide, -6, -110), (108 * wide, 10, -340), 76 * muscle, 66 * muscle), 22
    )
    out = smooth_min(out, ellipsoid(ax, y, z, (66 * wide, -62, -85), (72 * wide, 52 * muscle, 78)), 20)
    y1 = float(spine.centre(440)[1])
    neck = capsule(x, y, z, (0, y1 + 6, 425), (0, y1 + 30, 560), 60 * (0.85 + 0.15 * p.muscle))
    out = smooth_min(out, neck, 35)
    ysh = y1 - 18
    up = 20 if p.arms == "up" else 0
    a, b = (60, ysh - 4, 410 + up / 2), (152 * p.chest_width, ysh + 4, 402 + up)
    out = smooth_min(out, capsule(ax, y, z, a, b, 46 * muscle, 44 * muscle), 32)
    canvas.plan.courses["shoulder"] = [np.array(b)]
    if p.arms == "up":
        tip = np.array(b) + np.array([42, 8, 150])
        out = smooth_min(out, capsule(ax, y, z, b, tip, 46 * muscle, 37 * muscle), 25)
        canvas.plan.courses["shoulder"].append(tip)
    return np.maximum(out, z - 545) + 1.8 * canvas.plan.fields["noise1"]


def _skin(canvas: Canvas, spine: Spine, trunk: Trunk, xc, rng):
    f, p = canvas.plan.fields, canvas.physique
    y, z = canvas.y, canvas.z
    base = np.interp(z, _FAT_Z, _FAT) * p.subcutaneous_fat_mm
    front = np.clip((y - 30) / 60, -1, 1)
    belly = rng.uniform(-0.1, 0.3) * np.interp(z, [-60, 20, 120, 230], [0, 1, 1, 0])
    back = rng.uniform(-0.1, 0.35) * np.interp(z, [-120, 20, 150, 260], [0.3, 1, 0.6, 0.1])
    fat = base * (1 + belly * np.maximum(front, 0) + back * np.maximum(-front, 0)) * (1 + 0.12 * f["noise2"]) + 3
    flat = float(trunk.profile("lean_back", 300) + trunk.profile("lean_back", -60)) / 2 + rng.uniform(4, 16)
    f["lean"] = -smooth_min(-f["lean"], (y - flat).astype(np.float32), 16)
    skin = f["lean"] - np.maximum(fat, 2.5)
    if p.sex == "female":
        size = float(canvas.rng("breast").uniform(0.75, 1.25)) * (0.7 + 0.02 * min(p.subcutaneous_fat_mm, 35))
        yf = trunk.profile("lean_front", 300)
        breast = ellipsoid(np.abs(xc), y, z, (82 * p.chest_width, yf - 8, 298), (58 * size, 44 * size, 56 * size))
        f["breast"] = breast.astype(np.float32)
        skin = smooth_min(skin, breast, 18)
    skin = -smooth_min(-skin, y - np.float32(flat - 0.7 * p.subcutaneous_fat_mm - 4), 22)
    if p.arms == "down":
        reach = float(np.abs(xc[(skin < 0) & (z > -60) & (z < 330)]).max()) + 34
        s = canvas.plan.courses["shoulder"][0]
        elbow, wrist = np.array([reach + 8, s[1] - 12, 120]), np.array([reach, 30, -110])
        arm = capsule(np.abs(xc), y, z, s, elbow, 44, 33)
        fore = capsule(np.abs(xc), y, z, elbow, wrist, 32, 22)
        limb = np.minimum(arm, fore)
        f["lean"] = smooth_min(f["lean"], limb, 15).astype(np.float32)
        skin = np.minimum(skin, limb - 0.35 * p.subcutaneous_fat_mm - 2)
        canvas.plan.courses["shoulder"] += [elbow, wrist]
    return skin


def _diaphragm(canvas: Canvas, spine: Spine, trunk: Trunk, xc):
    """Signed distance to the diaphragm, positive in the thorax."""
    rng, f, p = canvas.rng("diaphragm"), canvas.plan.fields, canvas.physique
    y, z = canvas.y, canvas.z
    top = spine.level("T10", 0.5) + (0.45 - p.lung_inflation) * 55 + rng.normal(0, 5)
    left = top - rng.uniform(4, 20)
    half = trunk.profile("width", 250)
    yc = trunk.at(0, 0.12, 250)[1]
    curve_ = 0.0052 * (128 / half)
    right = top - curve_ * ((xc - 0.52 * half) ** 2 + 0.9 * (y - yc - 4) ** 2)
    leftd = left - curve_ * 1.1 * ((xc + 0.52 * half) ** 2 + 0.9 * (y - yc) ** 2)
    middle = min(top, left) - rng.uniform(6, 16) - 0.0012 * xc**2 - 0.003 * (y - yc - 10) ** 2
    dome = -smooth_min(smooth_min(-right, -leftd, 14), -middle, 14)
    phi = f["phi"] / np.pi
    depth = np.interp(phi, [0, 0.25, 0.5, 0.75, 1], [96, 90, 56, 26, 12]) * (0.85 + 0.35 * (1 - p.lung_inflation))
    recess = depth * np.exp(np.minimum(f["cav"], 0) / rng.uniform(13, 19))
    g = (z - dome + recess).astype(np.float32) + 1.5 * f["noise3"]
    canvas.plan.landmarks["dome_right"] = np.array([0.52 * half, yc, top])
    canvas.plan.courses["shift"] = [0.45 * (top - spine.level("T10", 0.5) + 4)]
    canvas.plan.landmarks["dome_left"] = np.array([-0.52 * half, yc, left])
    return np.clip(_normalise(g, canvas.spacing, 0.5), -200, 200)


def fill_body(canvas: Canvas) -> None:
    """Paint skin, fat, muscle and the empty cavity; everything inside the skin becomes free."""
    whole = (slice(None),) * 3
    skin = canvas.field("skin", whole)
    canvas.tissues[skin < 0] = Tissue.FAT_SUBCUTANEOUS
    canvas.free |= skin < 0
    canvas.tissues[(skin < 0) & (skin > -max(1.8, 0.5 * canvas.spacing.min()))] = Tissue.SKIN
    if "breast" in canvas.plan.fields:
        gland = canvas.field("breast", whole) + 18 + 9 * canvas.field("noise4", whole)
        canvas.tissues[(gland < 0) & (skin < -6)] = Tissue.BREAST
    lean = canvas.field("lean", whole)
    muscle = (lean < 0) & (skin < -2)
    canvas.tissues[muscle] = Tissue.MUSCLE
    cav, z = canvas.field("cav", whole), canvas.z
    septa = np.abs(canvas.field("noise5", whole)) < np.float32(0.10 + 0.08 * canvas.physique.visceral_fat)
    canvas.tissues[muscle & septa & (lean < -5) & (cav > 14)] = Tissue.FAT_VISCERAL
    _layers(canvas, muscle, cav, lean)
    _fossae(canvas)
    inside = cav < 0
    canvas.tissues[inside] = Tissue.FAT_VISCERAL
    canvas.tissues[inside & (cav > -7) & (z < -75)] = Tissue.MUSCLE
    dia = canvas.field("dia", whole)
    canvas.tissues[inside & (np.abs(dia) < 1.9) & (z > 60)] = Tissue.MUSCLE


def _fossae(canvas: Canvas) -> None:
    """Fat of the ischioanal fossae, beside the anal canal."""
    wide = canvas.physique.pelvis_width
    box = canvas.span((-60, -95, -185), (60, 0, -100), 2)
    if box is None:
        return
    x, y, z = canvas.xyz(box)
    fossa = ellipsoid(np.abs(x), y, z, (27 * wide, -46, -140), (15, 28, 27)) + 2 * canvas.noise(5, box)
    muscle = canvas.tissues[box]
    muscle[(fossa < 0) & (muscle == Tissue.MUSCLE)] = Tissue.FAT_VISCERAL


def _layers(canvas: Canvas, muscle, cav, lean) -> None:
    """Fat between muscles and ribs, in the axillae and between the layers of the abdominal wall."""
    whole = (slice(None),) * 3
    wave, z = canvas.field("noise1", whole), canvas.z
    fat = 0.6 + 0.8 * canvas.physique.visceral_fat
    outer = muscle & (lean < -4) & (z > 190) & (z < 420) & (cav > 9)
    canvas.tissues[outer & (cav < 9 + fat * (1.5 + 3.5 * wave))] = Tissue.FAT_VISCERAL
    share = cav / np.maximum(cav - lean, 1)
    side = muscle & (z > 15) & (z < 190) & (canvas.y > canvas.field("sy", whole) - 15) & (lean < -3) & (cav > 3)
    canvas.tissues[side & (np.abs(share - 0.52) < 0.035 * fat) & (wave > -0.4)] = Tissue.FAT_VISCERAL
    shoulder = canvas.plan.courses["shoulder"][0]
    for side_ in (-1, 1):
        box = canvas.span(shoulder * [side_, 1, 1] - [45, 45, 75], shoulder * [side_, 1, 1] + [15, 45, 5], 2)
        if box is not None:
            x, y, z = canvas.xyz(box)
            centre = shoulder * [side_, 1, 1] + np.array([-22 * side_, 4, -38])
            axilla = ellipsoid(x, y, z, centre, (15, 26, 32)) + 5 * canvas.noise(5, box)
            part = canvas.tissues[box]
            part[(axilla < 0) & (part == Tissue.MUSCLE) & (canvas.field("cav", box) > 9)] = Tissue.FAT_VISCERAL
