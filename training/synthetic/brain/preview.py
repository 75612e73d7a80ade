"""A look at a virtual head: two axial planes and a sagittal one of every sequence, lesions outlined."""

from __future__ import annotations

import numpy as np

from training.synthetic.brain.subject import VirtualBrain

HEIGHT = 150
_RED = (255, 70, 60)


def preview(brain: VirtualBrain) -> np.ndarray:
    """Draw a head, a row of pictures per sequence in one row; the patient's right is left.

    Args:
        brain: arrays towards Right, Anterior, Superior, as `synthesize_brain` gives them.

    Returns:
        `(HEIGHT, W, 3)` uint8.
    """
    lesions = brain.lesions.voxels > 1
    planes = [(2, _level(lesions, 2, 0.55)), (2, round(0.45 * lesions.shape[2])), (0, _level(lesions, 0, 0.47))]
    panels = []
    for scan in brain.scans.values():
        top = float(np.percentile(scan.voxels[scan.voxels > 0], 99.5)) if scan.voxels.any() else 1.0
        panels += [_panel(scan.voxels, lesions, axis, index, top) for axis, index in planes]
    return np.concatenate(panels, axis=1)


def _level(mask: np.ndarray, axis: int, otherwise: float) -> int:
    """The plane with most of a mask."""
    count = mask.sum(axis=tuple(other for other in range(3) if other != axis))
    return int(count.argmax()) if count.any() else round(otherwise * mask.shape[axis])


def _panel(voxels: np.ndarray, lesions: np.ndarray, axis: int, index: int, top: float) -> np.ndarray:
    image, mask = (np.take(array, index, axis=axis).T[::-1, ::-1] for array in (voxels, lesions))
    rows = (np.arange(HEIGHT) * image.shape[0] / HEIGHT).astype(int)
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    columns = (np.arange(width) * image.shape[1] / width).astype(int)
    pick = np.ix_(rows, columns)
    grey = np.clip(image[pick] / top * 255, 0, 255).astype(np.uint8)
    out = np.repeat(grey[:, :, None], 3, axis=2)
    shown = mask[pick]
    inner = shown.copy()
    inner[1:] &= shown[:-1]
    inner[:-1] &= shown[1:]
    inner[:, 1:] &= shown[:, :-1]
    inner[:, :-1] &= shown[:, 1:]
    out[shown & ~inner] = _RED
    return out
