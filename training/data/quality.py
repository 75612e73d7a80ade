"""Is a volume worth training on? Doubts about images as read and as prepared, each one sentence.

For CT this is what `medfm analyze` asks too (`medfm_core.plausibility`); the rest is for any modality. A doubt that
`blocks` keeps the volume out of the store unless its code is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medfm_core.plausibility import Caution, check_image
from medfm_core.volume import Volume

MOST_LABEL = 65535
_FEWEST_VOXELS = 8
_SHORTEST_MM = 20.0
_FINEST_MM, _COARSEST_MM = 0.1, 12.0
_MOST_PADDING = 0.95
_LEAST_SPREAD = 0.002  # of the range of values
_SAMPLES = 1 << 20
_CT_LIKE_HU = -500.0
NOTES = ("reading", "thick_slices", "oblique", "short_scan", "truncated_body")  # worth knowing, no reason to doubt


def image_doubts(image: Volume, modality: str) -> tuple[Caution, ...]:
    """Doubts about an image as it was read.

    Args:
        image: as read; its own modality is what the file says, None if it says nothing.
        modality: what the manifest says.
    """
    doubts = [Caution("reading", sentence) for sentence in image.meta.get("warnings", ())]
    if image.modality not in (None, modality):
        sentence = f"The file says that it is {image.modality}, the manifest says {modality}"
        return Caution("wrong_modality", sentence, True, "correct the manifest"), *doubts
    doubts += check_image(image) if modality == "CT" else _not_ct_doubts(image, modality)
    doubts += _value_doubts(image)
    doubts += _size_doubts(image)
    return _sorted(doubts)


def prepared_doubts(image: Volume, labels: Volume | None, original_labels: Volume | None) -> tuple[Caution, ...]:
    """Doubts about an image as it is to be stored, and about its label map.

    Args:
        image: prepared.
        labels: on the image's grid.
        original_labels: as read.
    """
    doubts = []
    if min(image.shape) < _FEWEST_VOXELS:
        text = " x ".join(str(n) for n in image.shape)
        doubts.append(Caution("tiny", f"Only {text} voxels are left after the preparation", True, "leave it out"))
    if labels is not None and original_labels is not None and not labels.voxels.any():
        if original_labels.voxels.any():
            sentence = "The label map's content lies outside the image"
            doubts.append(Caution("labels_outside", sentence, True, "give the label map of this image"))
        else:
            doubts.append(Caution("labels_empty", "The label map is empty: every voxel is 0."))
    if labels is not None and (labels.voxels.max() > MOST_LABEL or labels.voxels.min() < 0):
        sentence = f"The label map's values reach from {labels.voxels.min()} to {labels.voxels.max()}"
        doubts.append(Caution("label_values", sentence, True, f"number the labels from 0 to {MOST_LABEL}"))
    return tuple(doubts)


def _value_doubts(image: Volume) -> Iterable[Caution]:
    """Mostly padding, or hardly any contrast."""
    step = max(1, round((image.voxels.size / _SAMPLES) ** (1 / 3)))
    values = image.voxels[::step, ::step, ::step].astype(np.float32).ravel()
    low, high = float(values.min()), float(values.max())
    lowest = float(np.mean(values == low))
    inner = np.percentile(values, (1, 99))
    if lowest > _MOST_PADDING:
        sentence = f"{100 * lowest:.1f} % of the voxels hold the lowest value ({low:g}): hardly anything was scanned"
        yield Caution("padding", sentence, True, "leave it out, or crop it to what was scanned")
    elif high > low and inner[1] - inner[0] < _LEAST_SPREAD * (high - low):
        yield Caution(
            "nearly_constant", f"Nearly all voxels hold about {inner[0]:g}: the image has hardly any contrast."
        )


def _size_doubts(image: Volume) -> Iterable[Caution]:
    if min(image.spacing) < _FINEST_MM or max(image.spacing) > _COARSEST_MM:
        text = " x ".join(f"{mm:.3g}" for mm in image.spacing)
        yield Caution("spacing", f"The voxels measure {text} mm, which no scanner makes: check the spacing.")
    extent = [n * step for n, step in zip(image.shape, image.spacing, strict=True)]
    if min(extent) < _SHORTEST_MM:
        text = " x ".join(f"{mm:.0f}" for mm in extent)
        yield Caution("tiny", f"The image measures only {text} mm", True, "check its spacing, or leave it out")


def _not_ct_doubts(image: Volume, modality: str) -> Iterable[Caution]:
    """Other modalities have no values far below zero with air as their most frequent one."""
    low, middle, high = np.percentile(image.voxels[::4, ::4, ::4], (1, 50, 99))
    if not low < high:
        yield Caution("constant", f"Nearly every voxel holds the same value ({low:g})", True, "leave it out")
    elif low < _CT_LIKE_HU and high < 4000 and (middle < _CT_LIKE_HU or abs(middle) < 200):
        sentence = f"The values run from {low:g} to {high:g} as in a CT, the manifest says {modality}"
        yield Caution("looks_like_ct", sentence, True, "correct the manifest")


def _sorted(doubts: Iterable[Caution]) -> tuple[Caution, ...]:
    once = {(caution.code, caution.sentence): caution for caution in doubts}
    return tuple(sorted(once.values(), key=lambda caution: not caution.blocks))
