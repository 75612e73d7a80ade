"""A look at a virtual patient: an axial soft tissue and lung window and a coronal cut, organs and lesions outlined."""

from __future__ import annotations

import numpy as np

from medfm_core.anatomy import load_vocabulary
from training.synthetic.patient import VirtualPatient

HEIGHT = 240
_SOFT, _LUNG = (-160.0, 240.0), (-1000.0, 200.0)


def preview(patient: VirtualPatient) -> np.ndarray:
    """Draw a patient.

    Args:
        patient: arrays in RAS order, as `synthesize_patient` gives them.

    Returns:
        `(HEIGHT, W, 3)` uint8: axial at the largest lesion (else the middle of the liver or of the scan), the same or
        the chest in a lung window, and a coronal cut with the organs in colour; the patient's right is left.
    """
    image, labels, lesions = (v.voxels for v in (patient.image, patient.labels, patient.lesions))
    spacing = patient.image.spacing
    k, j = _level(lesions, labels, 2), _level(lesions, labels, 1)
    lungs = np.isin(labels, (10, 11, 12, 13, 14)).sum(axis=(0, 1))
    chest = int(lungs.argmax()) if lungs.any() and not lesions[:, :, k].any() else k
    cuts = [
        (_cut(image, 2, k), _cut(lesions, 2, k), None, _SOFT, spacing[1] / spacing[0]),
        (_cut(image, 2, chest), _cut(lesions, 2, chest), None, _LUNG, spacing[1] / spacing[0]),
        (_cut(image, 1, j), _cut(lesions, 1, j), _cut(labels, 1, j), _SOFT, spacing[2] / spacing[0]),
    ]
    return np.concatenate([_panel(*cut) for cut in cuts], axis=1)


def mosaic(panels: list[np.ndarray]) -> np.ndarray:
    """Stack previews of different widths, one row each, black where a row is shorter."""
    width = max(panel.shape[1] for panel in panels)
    return np.concatenate([np.pad(p, ((0, 4), (0, width - p.shape[1]), (0, 0))) for p in panels])


def _level(lesions: np.ndarray, labels: np.ndarray, axis: int) -> int:
    """The index where most of the lesions lie; without lesions where most of the liver lies, else the middle."""
    others = tuple(a for a in range(3) if a != axis)
    for mask in (lesions > 0, labels == 5):
        count = mask.sum(axis=others)
        if count.any():
            return int(count.argmax())
    return labels.shape[axis] // 2


def _cut(voxels: np.ndarray, axis: int, index: int) -> np.ndarray:
    """A slice as radiologists look at it: rows downwards, columns towards the patient's left."""
    return np.take(voxels, index, axis=axis).T[::-1, ::-1]


def _panel(image: np.ndarray, lesions: np.ndarray, labels, window: tuple[float, float], aspect: float) -> np.ndarray:
    """One picture, scaled to `HEIGHT` rows by the nearest voxel."""
    rows = (np.arange(HEIGHT) * image.shape[0] / HEIGHT).astype(int)
    width = max(1, round(image.shape[1] * HEIGHT / (image.shape[0] * aspect)))
    columns = (np.arange(width) * image.shape[1] / width).astype(int)
    pick = np.ix_(rows, columns)
    grey = np.clip((image[pick].astype(np.float32) - window[0]) / (window[1] - window[0]), 0, 1)
    out = np.repeat(255 * grey[:, :, None], 3, axis=2)
    if labels is not None:
        table = np.zeros((256, 3), np.float32)
        for organ in load_vocabulary().organs:
            table[organ.id] = organ.colour
        shown = labels[pick]
        out = np.where((shown > 0)[:, :, None], 0.65 * out + 0.35 * table[shown], out)
    out[_outline(lesions[pick] > 0)] = (255, 60, 60)
    return out.astype(np.uint8)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask that touch its outside."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return mask & ~inner
