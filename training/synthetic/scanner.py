"""What the scanner adds: table and blanket, noise, streaks, kernel, field of view, slice thickness, integer HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.physique import stream
from training.synthetic.texture import along, axis_towards, smooth_field, soften, white

PADDINGS = (-1024, -2048)


@dataclass(frozen=True)
class Protocol:
    """One acquisition.

    Args:
        kernel: "soft", "medium" or "sharp".
        noise_hu: deviation of the noise in the middle of an average abdomen.
        table: "curved", "flat" or "none".
        table_gap_mm: distance of the table from the back.
        blanket: whether cloth lies on the patient.
        streaks: strength of the streaks between shoulders and hips, 0 to 1.
        fov_mm: diameter of the reconstruction circle; None shows the whole grid.
        padding: HU outside the circle.
        thickness_mm: slice thickness; None keeps the grid's.
        offset_hu: calibration error of the scanner.
    """

    kernel: str = "soft"
    noise_hu: float = 9.0
    table: str = "curved"
    table_gap_mm: float = 4.0
    blanket: bool = False
    streaks: float = 0.3
    fov_mm: float | None = None
    padding: int = -1024
    thickness_mm: float | None = None
    offset_hu: float = 0.0


def draw_protocol(seed: int, *, fov_mm: float | None = None, thickness_mm: float | None = None) -> Protocol:
    """Draw an acquisition.

    Args:
        seed: same seed, same protocol.
        fov_mm: fixes the reconstruction circle.
        thickness_mm: fixes the slice thickness.
    """
    rng = stream(seed, "protocol")
    return Protocol(
        kernel=str(rng.choice(["soft", "medium", "sharp"], p=[0.6, 0.28, 0.12])),
        noise_hu=float(np.clip(9 * np.exp(rng.normal(0, 0.45)), 3, 30)),
        table=str(rng.choice(["curved", "flat", "none"], p=[0.65, 0.25, 0.1])),
        table_gap_mm=float(rng.uniform(1, 14)),
        blanket=bool(rng.random() < 0.3),
        streaks=float(rng.beta(1.5, 3)),
        fov_mm=fov_mm,
        padding=int(rng.choice(PADDINGS, p=[0.7, 0.3])),
        thickness_mm=thickness_mm,
        offset_hu=float(rng.normal(0, 2.0)),
    )


def scan(hu: np.ndarray, matrix: np.ndarray, seed: int, protocol: Protocol | None = None) -> np.ndarray:
    """Turn a noise-free picture into what a scanner would give on the same grid.

    Args:
        hu: `(I, J, K)` float32 HU, air outside the patient below -500.
        matrix: 4x4 voxel-to-RAS+ matrix.
        seed: same seed, same scan.
        protocol: acquisition; None draws one from the seed.

    Returns:
        `(I, J, K)` int16 HU.
    """
    protocol = protocol or draw_protocol(seed)
    rng = stream(seed, "scan")
    spacing = tuple(np.linalg.norm(matrix[:3, :3], axis=0))
    body = hu > -500
    out = hu.astype(np.float32, copy=True)
    if protocol.kernel == "soft":
        out = soften(out, spacing, _in_plane(matrix, 1.6))
    elif protocol.kernel == "sharp":
        out += 0.55 * (out - soften(out, spacing, _in_plane(matrix, 1.6 * max(spacing))))
    _add_table(out, body, matrix, rng, protocol)
    _add_noise(out, hu, body, matrix, rng, protocol)
    out += np.float32(protocol.offset_hu)
    np.rint(out, out=out)
    np.clip(out, -1024, 3071, out=out)
    out = out.astype(np.int16)
    if protocol.fov_mm is not None:
        out[~field_of_view(out.shape, matrix, protocol.fov_mm)] = protocol.padding
    return out


def field_of_view(shape: tuple, matrix: np.ndarray, diameter_mm: float) -> np.ndarray:
    """The reconstruction circle around the grid's middle, bool `(I, J, K)`."""
    i, _ = axis_towards(matrix, "R")
    j, _ = axis_towards(matrix, "A")
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    u, v = (along((np.arange(shape[a]) - (shape[a] - 1) / 2) * spacing[a], a) for a in (i, j))
    return np.broadcast_to(u * u + v * v <= (diameter_mm / 2) ** 2, shape)


def thick_slices(image: np.ndarray, labels: list[np.ndarray], matrix: np.ndarray, thickness_mm: float):
    """Average the picture over thick slices and pick the labels in their middle.

    Args:
        image: `(I, J, K)`.
        labels: label maps of the same shape.
        matrix: 4x4 voxel-to-RAS+ matrix.
        thickness_mm: wanted thickness and increment; rounded to whole source slices.

    Returns:
        image (the input's type), labels, and the new matrix.
    """
    axis, _ = axis_towards(matrix, "S")
    spacing = float(np.linalg.norm(matrix[:3, axis]))
    step = max(1, round(thickness_mm / spacing))
    count = image.shape[axis] // step
    if step == 1 or count == 0:
        return image, labels, matrix
    moved = np.moveaxis(image, axis, 0)[: count * step].astype(np.float32)
    mean = moved.reshape(count, step, *moved.shape[1:]).mean(axis=1)
    mean = np.rint(mean) if image.dtype.kind == "i" else mean
    picked = [np.moveaxis(np.moveaxis(x, axis, 0)[: count * step][step // 2 :: step], 0, axis) for x in labels]
    out = np.array(matrix, float)
    out[:3, 3] += out[:3, axis] * (step // 2 if step % 2 else (step - 1) / 2)
    out[:3, axis] *= step
    return np.moveaxis(mean, 0, axis).astype(image.dtype), picked, out


def _in_plane(matrix: np.ndarray, width: float) -> tuple:
    axis, _ = axis_towards(matrix, "S")
    return tuple(0.0 if a == axis else width for a in range(3))


def _add_noise(out, hu, body, matrix, rng, protocol) -> None:
    """Noise grows with what the beam crosses, is streaky across wide bone, and is correlated by the kernel."""
    lateral, posterior = (axis_towards(matrix, letter)[0] for letter in "RP")
    spacing = tuple(np.linalg.norm(matrix[:3, :3], axis=0))
    water = np.clip(hu * np.float32(0.001) + 1, 0, 2.2)  # relative attenuation
    width = water.sum(axis=lateral, keepdims=True).max(axis=posterior, keepdims=True) * spacing[lateral]
    depth = water.sum(axis=posterior, keepdims=True).max(axis=lateral, keepdims=True) * spacing[posterior]
    level = np.exp(0.5 * 0.019 * (np.sqrt(width * depth) - 270.0))
    level = np.minimum(protocol.noise_hu * np.clip(level, 0.45, 2.6), 34).astype(np.float32)
    blur = {"soft": 0.2, "medium": 0.12, "sharp": 0.0}[protocol.kernel]
    noise = white(rng, out.shape, blur)
    noise *= level * np.float32(1.5 if protocol.kernel == "sharp" else 1.0)
    rows = water.sum(axis=lateral, keepdims=True) * spacing[lateral] - 0.8 * depth  # rays from side to side
    strength = np.clip((rows - 130.0) / 200.0, 0, 1.2).astype(np.float32) * np.float32(55 * protocol.streaks)
    if strength.max() > 1:
        lengths = [spacing[a] for a in range(3)]
        lengths[lateral] = 70.0
        noise += smooth_field(rng, out.shape, spacing, tuple(lengths)) * strength
        dark = smooth_field(rng, out.shape, spacing, tuple(60.0 if a == lateral else 12.0 for a in range(3)))
        noise -= (0.6 + 0.4 * dark) * strength * np.float32(0.35)
    noise *= np.where(body, np.float32(1), np.float32(0.55))
    out += noise


def _add_table(out, body, matrix, rng, protocol) -> None:
    """Lay a couch under the back and cloth over the front, where the grid has room for them."""
    lateral, posterior, axial = (axis_towards(matrix, letter)[0] for letter in "RPS")
    sign = axis_towards(matrix, "P")[1]
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    count = out.shape[posterior]
    depth = along(np.arange(count) if sign > 0 else np.arange(count)[::-1], posterior) * spacing[posterior]
    across = along((np.arange(out.shape[lateral]) - (out.shape[lateral] - 1) / 2) * spacing[lateral], lateral)
    if protocol.table != "none" and body.any():
        mask = body.any(axis=axial).any(axis=0 if lateral < posterior else 1)
        rows = np.flatnonzero(mask) if sign > 0 else count - 1 - np.flatnonzero(mask)
        back = (rows.max() + 1) * spacing[posterior] + protocol.table_gap_mm
        half = rng.uniform(190, 235)
        sag = rng.uniform(0.0006, 0.0016) if protocol.table == "curved" else 0.0
        top = back - sag * across**2
        inside = np.abs(across) < half
        below = (depth - top) / spacing[posterior]
        shell = np.clip(1 - np.abs(below - 0.5), 0, 1) * rng.uniform(250, 1300)
        thick = rng.uniform(18, 60)
        foam = ((depth > top) & (depth < top + thick)) * rng.uniform(30, 110)
        bottom = np.clip(1 - np.abs((depth - top - thick) / spacing[posterior]), 0, 1) * rng.uniform(150, 600)
        couch = np.broadcast_to(np.where(inside, np.maximum(shell + bottom, foam), 0), out.shape)
        out += np.where(body, 0, couch).astype(np.float32)
    if protocol.blanket and body.any():
        front = np.where(body, depth, np.inf).min(axis=posterior, keepdims=True)
        gap = rng.uniform(2, 9) + 4 * smooth_field(rng, front.shape, tuple(spacing), 60.0)
        cloth = np.clip(1 - np.abs((depth - front + gap) / spacing[posterior]), 0, 1) * rng.uniform(40, 220)
        out += np.where(np.isfinite(front) & ~body, cloth, 0).astype(np.float32)
