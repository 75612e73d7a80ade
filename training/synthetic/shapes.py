"""Implicit shapes: signed distances (mm, negative inside) on arrays of coordinates, smooth unions, noise, curves."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

FAR = np.float32(60.0)


def ellipsoid(x, y, z, centre, semi, axes=None):
    """First-order signed distance to an ellipsoid.

    Args:
        x: coordinates mm, arrays of one shape (y and z alike).
        y: see x.
        z: see x.
        centre: centre mm, (3,).
        semi: semi-axes mm, (3,).
        axes: rows are the unit directions of the semi-axes; None = the coordinate axes.
    """
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    if axes is not None:
        r = np.asarray(axes, np.float32)
        dx, dy, dz = (r[i, 0] * dx + r[i, 1] * dy + r[i, 2] * dz for i in range(3))
    a, b, c = (np.float32(v) for v in semi)
    qx, qy, qz = dx / a, dy / b, dz / c
    k0 = np.sqrt(qx * qx + qy * qy + qz * qz)
    qx /= a
    qy /= b
    qz /= c
    k1 = np.sqrt(qx * qx + qy * qy + qz * qz) + np.float32(1e-6)
    return k0 * (k0 - 1) / k1


def capsule(x, y, z, a, b, ra, rb=None):
    """Signed distance to a tapered capsule from `a` (radius `ra`) to `b` (radius `rb`), mm."""
    rb = ra if rb is None else rb
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    d = b - a
    px, py, pz = x - a[0], y - a[1], z - a[2]
    h = (px * d[0] + py * d[1] + pz * d[2]) / np.float32(max(float(d @ d), 1e-6))
    np.clip(h, 0, 1, out=h)
    px = px - h * d[0]
    py = py - h * d[1]
    pz = pz - h * d[2]
    out = px * px + py * py + pz * pz
    np.sqrt(out, out=out)
    out -= np.float32(ra) + h * np.float32(rb - ra)
    return out


def smooth_min(a, b, k):
    """Union of two signed distances with a fillet of about `k` mm."""
    h = np.maximum(np.float32(k) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h * np.float32(0.25 / k)


def curve(points, step=8.0, radii=None):
    """Resample a smooth curve through `points` (N, 3) every `step` mm; radii (N,) go along.

    Returns:
        points (M, 3) and radii (M,), float64 (radii 0 if None).
    """
    p = np.asarray(points, float)
    r = np.zeros(len(p)) if radii is None else np.broadcast_to(np.asarray(radii, float), (len(p),))
    chord = np.r_[0, np.cumsum(np.maximum(np.linalg.norm(np.diff(p, axis=0), axis=1), 1e-3))]
    n = max(int(np.ceil(chord[-1] / step)), 1) + 1
    t = np.linspace(0, chord[-1], n)
    if len(p) < 3:
        return np.stack([np.interp(t, chord, p[:, i]) for i in range(3)], 1), np.interp(t, chord, r)
    return CubicSpline(chord, p, bc_type="natural")(t), np.interp(t, chord, r)


def rotation(degrees) -> np.ndarray:
    """Rotation about x, then y, then z by the given degrees, 3x3."""
    out = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        c, s = np.cos(angle), np.sin(angle)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        m = np.eye(3)
        m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
        out = m @ out
    return out


def frame(axis, hint=(0.0, 0.0, 1.0)) -> np.ndarray:
    """Orthonormal rows whose first is `axis`; the second lies in the plane of axis and hint."""
    a = np.asarray(axis, float)
    a = a / np.linalg.norm(a)
    h = np.asarray(hint, float)
    h = h - a * (h @ a)
    if np.linalg.norm(h) < 1e-3:
        h = np.eye(3)[np.argmin(np.abs(a))]
        h = h - a * (h @ a)
    h = h / np.linalg.norm(h)
    return np.stack([a, h, np.cross(a, h)])


def _spline_matrix(n: int, spacing: float, wavelength: float) -> np.ndarray:
    """Cubic B-spline weights (n, cells) of control points every `wavelength` mm."""
    t = np.arange(n) * spacing / wavelength + 1
    t = np.minimum(t, np.ceil(n * spacing / wavelength) + 1 - 1e-6)
    i = np.floor(t).astype(int)
    u = t - i
    out = np.zeros((n, int(i.max()) + 3), np.float32)
    weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    for k, w in enumerate(weights):
        out[np.arange(n), i + k - 1] = w / 6
    return out


def smooth_noise(rng, shape, spacing, wavelength) -> np.ndarray:
    """Smooth unit-variance noise on a grid of `shape` with features of about `wavelength` mm, float32."""
    a, b, c = (_spline_matrix(n, s, wavelength) for n, s in zip(shape, spacing, strict=True))
    nodes = rng.standard_normal((a.shape[1], b.shape[1], c.shape[1])).astype(np.float32)
    out = np.tensordot(a, nodes, (1, 0))
    out = np.matmul(b, out.reshape(out.shape[0], b.shape[1], -1))
    out = np.matmul(out, c.T)
    return np.ascontiguousarray(out / max(float(out.std()), 1e-6), np.float32)


def polygon_distance(u, v, points) -> np.ndarray:
    """Signed distance (negative inside) of the points (u, v) to a closed polygon (N, 2)."""
    p = np.asarray(points, float)
    best = np.full(np.shape(u), np.inf)
    inside = np.zeros(np.shape(u), bool)
    for a, b in zip(p, np.roll(p, -1, axis=0), strict=True):
        e = b - a
        t = np.clip(((u - a[0]) * e[0] + (v - a[1]) * e[1]) / max(e @ e, 1e-9), 0, 1)
        best = np.minimum(best, np.hypot(u - a[0] - t * e[0], v - a[1] - t * e[1]))
        crosses = (a[1] > v) != (b[1] > v)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = a[0] + (v - a[1]) * e[0] / (e[1] if e[1] else 1e-9)
        inside ^= crosses & (u < at)
    return np.where(inside, -best, best)
