"""Which structures a scan's borders cut off, judged by how much of them must lie beyond.

Touching a border proves nothing: a net's outlines stray, and a dome may just reach the last slice. What counts is the
section of the structure on the border and how the sections change over the centimetre before it. A section that shrinks
towards the border is carried on at that rate until it vanishes, as the cap of a ball does; one that does not shrink is
carried on for 5 cm. A structure is cut where at least 0.5 % of its volume would lie beyond.

Nets narrow their outlines over the last slices. So a tube is cut too whose section on the border is at least 0.3 of its
slim section (the lower quartile over its whole length) and has narrowed over that centimetre to no less than 0.4.

Each connected piece near the border is judged by itself, since the loops of a bowel or the two clavicles have nothing
to do with each other, and what is small and ends on the way inwards is a stray piece of the outline, not an organ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medfm_core.field_of_view import FACE_NAMES, Circle, face_codes
from medfm_core.label_statistics import LabelStatistics
from medfm_core.volume import Volume, foreground_box

CIRCLE = "circular field of view"
LEAST_LACKING = 0.005  # of the whole volume, its unseen part included
LEAST_SECTION_MM2 = 10.0
TUBE_SHARE, NARROWED = 0.3, 0.4
STRAY_SHARE = 0.05  # of the structure's voxels: less that ends near the border is stray
_NEAR_MM, _LEAST_LAYERS = 10.0, 3
_REACH_MM = 50.0


@dataclass(frozen=True, eq=False)
class _Rim:
    """A label near one border: how many layers each of its voxels lies inside of it."""

    mask: np.ndarray  # (I, J, K) bool
    layer: np.ndarray  # broadcastable to the mask, whole numbers, 0 on the border
    layer_mm: float
    layers: int


def cut_faces(label: int, labels: Volume, statistics: LabelStatistics, circle: Circle | None) -> tuple[str, ...]:
    """Name the borders that cut a label, such as "bottom of the scan".

    Args:
        label: a value of the label map that occurs.
        labels: label map `(I, J, K)`.
        statistics: its sums.
        circle: the reconstructed field of view on the same grid, where the scan has one.
    """
    names, slim_mm2 = {}, {}
    for axis, profiles in enumerate(statistics.profiles):
        profile, step = profiles[label], labels.spacing[axis]
        slim_mm2[axis] = float(np.percentile(profile[profile > 0], 25)) * _voxel_mm3(labels) / step
        for last, code in enumerate(face_codes(labels.affine.codes, axis)):
            inwards = profile[::-1] if last else profile
            if not inwards[0] or _is_stray(inwards):
                continue
            if _is_cut(
                _face(label, labels, statistics, axis, bool(last)), labels, statistics.counts[label], slim_mm2[axis]
            ):
                names[code] = f"{FACE_NAMES[code]} of the scan"
    found = [names[code] for code in FACE_NAMES if code in names]
    if circle is not None and (rim := _circle(label, labels, statistics, circle)) is not None:
        across_mm2 = min(section for axis, section in slim_mm2.items() if axis != circle.axis)
        if _is_cut(rim, labels, statistics.counts[label], across_mm2):
            found.append(CIRCLE)
    return tuple(found)


def _is_stray(inwards: np.ndarray) -> bool:
    """Whether what lies on the border ends, going inwards, before it holds a fair share of the structure."""
    gap = np.flatnonzero(inwards == 0)
    piece = inwards[: gap[0]] if gap.size else inwards
    return bool(piece.sum() < STRAY_SHARE * inwards.sum())


def _is_cut(rim: _Rim, labels: Volume, count: int, slim_mm2: float) -> bool:
    pieces = [voxels * (_voxel_mm3(labels) / rim.layer_mm) for voxels in _pieces(rim, STRAY_SHARE * count)]
    on_border_mm2 = sum(sections[0] for sections in pieces)
    if on_border_mm2 < LEAST_SECTION_MM2:
        return False
    if on_border_mm2 >= TUBE_SHARE * slim_mm2 and any(_goes_on(sections) for sections in pieces):
        return True
    lacking_mm3 = sum(lacking(sections, rim.layer_mm) for sections in pieces)
    return lacking_mm3 >= LEAST_LACKING * (count * _voxel_mm3(labels) + lacking_mm3)


def _goes_on(sections: np.ndarray) -> bool:
    """Whether a piece is nearly as wide on the border as before it."""
    return len(sections) < 2 or sections[0] >= NARROWED * np.median(sections[1:])


def _voxel_mm3(labels: Volume) -> float:
    return labels.affine.voxel_volume_ml * 1000


def lacking(sections_mm2: np.ndarray, layer_mm: float) -> float:
    """Estimate the volume beyond a border in mm3.

    Args:
        sections_mm2: areas of a piece, layer by layer from the border inwards, `(layers,)`.
        layer_mm: thickness of a layer.
    """
    depth_mm = (np.arange(len(sections_mm2)) + 0.5) * layer_mm
    growth, on_border = np.polyfit(depth_mm, sections_mm2, 1) if len(sections_mm2) > 1 else (0.0, sections_mm2[0])
    border_mm2 = max(0.0, min(float(on_border), float(sections_mm2[0])))
    height_mm = min(_REACH_MM, border_mm2 / growth) if growth > 0 else _REACH_MM
    return border_mm2 * height_mm * (0.5 if height_mm < _REACH_MM else 1.0)


def _pieces(rim: _Rim, least_voxels: float) -> Iterator[np.ndarray]:
    """Voxels per layer of each piece that touches the border and is not stray."""
    from scipy import ndimage  # needed late and slow to import: the net loads meanwhile

    found = foreground_box(rim.mask)
    if found is None:
        return
    box = tuple(map(slice, *found))
    mask, layer = rim.mask[box], np.broadcast_to(rim.layer, rim.mask.shape)[box]
    numbers, count = ndimage.label(mask)
    table = np.bincount(numbers[mask] * rim.layers + layer[mask], minlength=(count + 1) * rim.layers)
    for voxels in table.reshape(-1, rim.layers)[1:]:
        if voxels[0] and (voxels[-1] or voxels.sum() >= least_voxels):
            yield voxels


def _face(label: int, labels: Volume, statistics: LabelStatistics, axis: int, last: bool) -> _Rim:
    step = labels.spacing[axis]
    layers = min(labels.shape[axis], max(_LEAST_LAYERS, round(_NEAR_MM / step)))
    box = _box(label, statistics)
    box[axis] = slice(labels.shape[axis] - layers, None) if last else slice(0, layers)
    layer = np.arange(layers)[::-1] if last else np.arange(layers)
    shape = [layers if a == axis else 1 for a in range(3)]
    return _Rim(labels.voxels[tuple(box)] == label, layer.reshape(shape), step, layers)


def _circle(label: int, labels: Volume, statistics: LabelStatistics, circle: Circle) -> _Rim | None:
    """The label along the inside of the circle, in layers two pixels wide; None where it does not come near."""
    box = _box(label, statistics)
    plane = tuple(part for axis, part in enumerate(box) if axis != circle.axis)
    layer = np.maximum(
        np.floor(-circle.distance[plane] / circle.RIM), 0
    )  # outside too: the border may be off by as much
    layer = np.expand_dims(layer.astype(np.intp), circle.axis)
    layer_mm = circle.RIM * min(step for axis, step in enumerate(labels.spacing) if axis != circle.axis)
    layers = max(_LEAST_LAYERS, round(_NEAR_MM / layer_mm))
    if not (layer == 0).any():
        return None
    return _Rim((labels.voxels[tuple(box)] == label) & (layer < layers), layer, layer_mm, layers)


def _box(label: int, statistics: LabelStatistics) -> list[slice]:
    return [slice(start, stop) for start, stop in zip(*statistics.box(label), strict=True)]
