"""Small pictures for the quality report: the middle axial, coronal and sagittal plane side by side."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from medfm_core.volume import Volume
from training.data.stored_volume import StoredVolume

HEIGHT = 96  # pixels
_CT_WINDOW = (-250.0, 300.0)
_QUALITY = 75


def thumbnail(source: Volume | StoredVolume) -> bytes:
    """Draw the three middle planes, as JPEG; patient right is on the left, front and head are up.

    Args:
        source: a volume in memory, or a stored one, of which only three planes are read.
    """
    from PIL import Image

    if isinstance(source, StoredVolume):
        read = _stored_plane(source)
    else:
        read = lambda axis, at: np.take(source.voxels, at, axis).astype(np.float32)  # noqa: E731
    codes, spacing = source.affine.codes, source.spacing
    pictures = [_plane(read(axis, source.shape[axis] // 2), axis, codes, spacing) for axis in _axes(codes)]
    low, high = _window(pictures, source.modality)
    strip = []
    for values, (height_mm, width_mm) in pictures:
        grey = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        width = int(np.clip(round(HEIGHT * width_mm / height_mm), 8, 3 * HEIGHT))
        strip.append(np.asarray(Image.fromarray(grey).resize((width, HEIGHT), Image.Resampling.BILINEAR)))
    out = io.BytesIO()
    Image.fromarray(np.concatenate(strip, axis=1)).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _stored_plane(volume: StoredVolume) -> Callable[[int, int], np.ndarray]:
    def read(axis: int, at: int) -> np.ndarray:
        start, size = [0, 0, 0], list(volume.shape)
        start[axis], size[axis] = at, 1
        return volume.crop(start, size).squeeze(axis)

    return read


def _axes(codes: str) -> list[int]:
    """The array axes across which the axial, coronal and sagittal planes lie."""
    return [next(axis for axis in range(3) if codes[axis] in pair) for pair in ("SI", "AP", "LR")]


def _plane(
    values: np.ndarray, axis: int, codes: str, spacing: tuple[float, ...]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Turn a plane as it is looked at; returns it with its height and width in mm."""
    first, second = (other for other in range(3) if other != axis)
    if codes[second] in "SI" or (codes[second] in "AP" and codes[first] in "LR"):
        values, first, second = values.T, second, first
    if codes[first] in "AS":  # rows grow towards the back or the feet
        values = values[::-1]
    if codes[second] in "RA":  # columns grow towards the patient's left or the back
        values = values[:, ::-1]
    return values, (values.shape[0] * spacing[first], values.shape[1] * spacing[second])


def _window(pictures: list[tuple[np.ndarray, tuple[float, float]]], modality: str | None) -> tuple[float, float]:
    values = np.concatenate([values.ravel() for values, _ in pictures])
    low, high = (float(v) for v in np.percentile(values, (1, 99.5)))
    if modality == "CT" or low < -500:
        low, high = _CT_WINDOW
    return low, high if high > low else low + 1
