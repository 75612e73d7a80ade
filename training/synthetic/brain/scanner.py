"""What an MR scanner adds: slice thickness, motion, an uneven coil, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.synthetic.texture import smooth_field, soften


@dataclass(frozen=True)
class Acquisition:
    """One scan's imperfections.

    Attributes:
        blur_mm: full width at half maximum within the slices.
        slice_mm: thickness of the slices; the voxels stay.
        slice_axis: along which.
        bias: deviation of the logarithm of the coil's sensitivity.
        noise: deviation of the noise relative to white matter.
        motion_mm: how far the head moved during some of the acquisition; 0 mostly.
        shift_mm: how far this scan lies off the others of the session.
    """

    blur_mm: float = 1.0
    slice_mm: float = 1.0
    slice_axis: int = 2
    bias: float = 0.1
    noise: float = 0.03
    motion_mm: float = 0.0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


def draw_acquisition(rng: np.random.Generator, sequence: str, quality: float = 1.0) -> Acquisition:
    """Draw how a scan is acquired.

    Args:
        rng: source.
        sequence: T1w is mostly isotropic, half of the others have thick slices.
        quality: 1 for ordinary scans; 0 for perfect ones without noise, bias and motion.
    """
    thick = rng.random() < (0.12 if sequence == "T1w" else 0.5)
    slice_mm = float(rng.uniform(3, 5.5)) if thick else 1.0
    return Acquisition(
        blur_mm=float(rng.uniform(0.8, 1.6)),
        slice_mm=slice_mm if quality else 1.0,
        slice_axis=int(rng.choice(3, p=(0.15, 0.1, 0.75))),
        bias=quality * float(rng.uniform(0.03, 0.16)),
        noise=quality * float(np.clip(0.022 * np.exp(rng.normal(0, 0.45)), 0.008, 0.06)),
        motion_mm=quality * float(rng.uniform(0.4, 1.2) if rng.random() < 0.12 else 0.0),
        shift_mm=tuple(quality * float(mm) for mm in rng.normal(0, 0.25, 3)),
    )


def scan(
    image: np.ndarray, spacing: tuple[float, float, float], how: Acquisition, white: float, rng: np.random.Generator
) -> np.ndarray:
    """Turn an ideal picture into a scan.

    Args:
        image: `(I, J, K)` float32 signal, at least 0.
        spacing: mm.
        how: the acquisition.
        white: signal of white matter, to which noise is relative.
        rng: source of field, noise and motion.

    Returns:
        `(I, J, K)` float32, at least 0.
    """
    widths = [how.blur_mm] * 3
    widths[how.slice_axis] = max(how.slice_mm, how.blur_mm)
    added = [max(width**2 - step**2, 0) ** 0.5 for width, step in zip(widths, spacing, strict=True)]  # beyond the voxel
    out = soften(image, spacing, tuple(added))
    if any(abs(mm) > 1e-3 for mm in how.shift_mm):
        steps = [mm / step for mm, step in zip(how.shift_mm, spacing, strict=True)]
        out = ndimage.shift(out, steps, np.float32, order=1, mode="nearest")
    if how.motion_mm:
        out = moved(out, (how.slice_axis + 1) % 3, how.motion_mm, spacing, rng)
    if how.bias:
        out = out * np.exp(np.float32(how.bias) * smooth_field(rng, out.shape, spacing, 95.0))
    if how.noise:
        deviation = np.float32(how.noise * white)
        real = out + deviation * rng.standard_normal(out.shape, np.float32)
        imaginary = deviation * rng.standard_normal(out.shape, np.float32)
        out = np.sqrt(real * real + imaginary * imaginary)
    return np.maximum(out, 0).astype(np.float32, copy=False)


def moved(
    image: np.ndarray, axis: int, distance_mm: float, spacing: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Let the head move along an axis while some outer lines of k-space are read: faint ghosts of the edges."""
    count = image.shape[axis]
    lines = np.fft.rfftfreq(count)
    position = np.zeros(len(lines))
    for _ in range(int(rng.integers(2, 5))):
        start = int(rng.integers(len(lines) // 12 + 1, len(lines)))
        stop = min(len(lines), start + int(rng.integers(2, max(3, len(lines) // 5))))
        position[start:stop] = rng.normal(0, distance_mm)
    phase = np.exp(-2j * np.pi * lines * position / spacing[axis]).astype(np.complex64)
    shape = [1, 1, 1]
    shape[axis] = -1
    spectrum = np.fft.rfft(image, axis=axis) * phase.reshape(shape)
    return np.maximum(np.fft.irfft(spectrum, n=count, axis=axis), 0).astype(np.float32)
