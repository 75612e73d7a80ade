"""The patient while lesions are being placed: label, tissue and lesion maps, and what to change in the picture.

All arrays run towards Right, Anterior and Superior (RAS), so an index grows to the patient's right, front and head.
Lesions change the maps at once; what they do to the Hounsfield units is kept as edits that the renderer applies after
texture and before blur.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from scipy import ndimage

from training.synthetic.contrast import Contrast
from training.synthetic.texture import smooth_field
from training.synthetic.tissue import Tissue

LUNGS = {"left": (10, 11), "right": (12, 13, 14)}
VERTEBRAE = tuple(range(26, 51))
CHARACTERS = ("present", "uncertain")


class Material(IntEnum):
    """What lesions are made of: codes in the tissue map above those of `Tissue`."""

    FLUID = 100
    SOLID = 101
    CALCIUM = 102
    GAS = 103
    BLOOD_CLOT = 104
    OPACITY = 105
    DESTROYED_LUNG = 106


@dataclass(frozen=True)
class Finding:
    """One abnormality, as placed.

    Args:
        name: kind, a key of `registry.KINDS`.
        organ: vocabulary name of the organ that it is reported under.
        side: "left", "right" or None.
        size_mm: largest diameter (thickness, width or length for what is measured so), None where not measured.
        count: how many lesions.
        certainty: "present" or "uncertain": how the report speaks of it; the lesion is there in both cases.
        lesion_ids: its values in the lesion map; empty for diffuse changes.
        attributes: words and numbers for the report (location, severity, ...).
    """

    name: str
    organ: str
    side: str | None = None
    size_mm: float | None = None
    count: int = 1
    certainty: str = "present"
    lesion_ids: tuple[int, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of the picture in a box.

    Args:
        box: slices of the grid.
        weight: `(box)` float32, 0 to 1: how much of each voxel changes.
        value: HU to set, or to add.
        lumps: HU of texture inside.
        add: whether `value` is added instead of set.
    """

    box: tuple[slice, slice, slice]
    weight: np.ndarray
    value: float
    lumps: float = 0.0
    add: bool = False


@dataclass(eq=False)
class Region:
    """Some organs, cut out of the scene: `mask` is bool on the voxels of `box`."""

    box: tuple[slice, slice, slice]
    mask: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """Index of the box's first voxel, `(3,)`."""
        return np.array([s.start for s in self.box])


class Scene:
    """A patient under construction.

    Args:
        labels: organ ids, `(I, J, K)` uint8, RAS order; changed in place.
        tissues: `Tissue` codes; changed in place.
        spacing: mm per axis.
        contrast: the patient's tissue values.
        rng: source for all placements.
    """

    def __init__(self, labels, tissues, spacing, contrast: Contrast, rng: np.random.Generator):
        self.labels, self.tissues, self.contrast, self.rng = labels, tissues, contrast, rng
        self.lesions = np.zeros(labels.shape, np.uint8)
        self.spacing = np.asarray(spacing, float)
        self.edits: list[Edit] = []
        self.shifts: dict[str, float] = {}
        self.last_id = 0
        self.refresh()

    def refresh(self) -> None:
        """Find the organs' boxes again, after labels grew."""
        self._objects = ndimage.find_objects(self.labels, max_label=255)

    def hu(self, name: str) -> float:
        """The patient's value of a tissue, with the shifts so far."""
        return self.contrast.hu[name] + self.shifts.get(name, 0.0)

    def enhanced(self, name: str) -> float:
        """What contrast medium adds to a tissue."""
        return self.contrast.enhancement.get(name, 0.0)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def around(self, ids: Iterable[int], margin_mm: float = 0.0) -> tuple[slice, slice, slice] | None:
        """The box of some organs, grown by a margin; None where none of them is in the scan."""
        found = [self._objects[i - 1] for i in ids if self._objects[i - 1] is not None]
        if not found:
            return None
        margin = np.ceil(margin_mm / self.spacing).astype(int)
        return tuple(
            slice(
                max(min(f[a].start for f in found) - margin[a], 0),
                min(max(f[a].stop for f in found) + margin[a], self.labels.shape[a]),
            )
            for a in range(3)
        )

    def region(self, *ids: int, margin_mm: float = 0.0, tissues: tuple[int, ...] | None = None) -> Region | None:
        """Cut organs out.

        Args:
            ids: organ ids.
            margin_mm: room around them in the box.
            tissues: keep only voxels of these tissues.

        Returns:
            The region, or None where nothing of them is in the scan.
        """
        box = self.around(ids, margin_mm)
        if box is None:
            return None
        part = self.labels[box]
        mask = part == ids[0] if len(ids) == 1 else np.isin(part, ids)
        if tissues is not None:
            mask &= np.isin(self.tissues[box], tissues)
        return Region(box, mask) if mask.any() else None

    def depth(self, region: Region) -> np.ndarray:
        """Distance of each voxel to the region's outside, mm, float32 on its box."""
        padded = np.pad(region.mask, 1)
        return ndimage.distance_transform_edt(padded, sampling=self.spacing)[1:-1, 1:-1, 1:-1].astype(np.float32)

    def distance_to(self, mask: np.ndarray) -> np.ndarray:
        """Distance of every voxel of a box to a mask on it, 0 inside, mm, float32."""
        return ndimage.distance_transform_edt(~mask, sampling=self.spacing).astype(np.float32)

    def spot(self, region: Region, radius_mm: float, depth: np.ndarray | None = None) -> np.ndarray | None:
        """Draw a centre for a lesion of a radius that fits inside, or as deep as it gets down to 0.6 of that.

        Returns:
            Scene index `(3,)` float, or None where it fits nowhere or only on other lesions.
        """
        depth = self.depth(region) if depth is None else depth
        free = (self.lesions[region.box] == 0) & region.mask
        for part in (1.0, 0.8, 0.6):
            where = np.flatnonzero(free & (depth >= part * radius_mm))
            if where.size:
                index = np.unravel_index(where[int(self.rng.integers(where.size))], depth.shape)
                return region.start + np.array(index, float)
        return None

    def grid_mm(self, box, centre) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offsets in mm (right, front, up) of a box's voxels from a scene index, broadcastable float32."""
        return tuple(
            ((np.arange(box[a].start, box[a].stop) - centre[a]) * self.spacing[a])
            .astype(np.float32)
            .reshape([-1 if b == a else 1 for b in range(3)])
            for a in range(3)
        )

    def box_around(self, centre, radius_mm) -> tuple[slice, slice, slice]:
        """A box of a half size in mm (one number or per axis) around a scene index, clipped to the grid."""
        half = np.ceil(np.broadcast_to(np.asarray(radius_mm, float), (3,)) / self.spacing) + 1
        low = np.clip(np.floor(centre - half), 0, np.array(self.labels.shape) - 1).astype(int)
        high = np.clip(np.ceil(centre + half) + 1, low + 1, self.labels.shape).astype(int)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def blob(self, centre, radii_mm, *, rough: float = 0.12) -> tuple[tuple[slice, slice, slice], np.ndarray]:
        """A lumpy ellipsoid.

        Args:
            centre: scene index `(3,)`.
            radii_mm: one radius or three semi-axes.
            rough: relative deviation of the surface.

        Returns:
            box and weights `(box)` float32: 1 inside, 0 outside, in between on the surface.
        """
        radii = np.broadcast_to(np.asarray(radii_mm, float), (3,))
        box = self.box_around(centre, radii * (1 + 2 * rough))
        x, y, z = self.grid_mm(box, centre)
        mean = float(radii.mean())
        r = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
        if rough > 0:
            shape = tuple(s.stop - s.start for s in box)
            r = r * (1 + rough * smooth_field(self.rng, shape, tuple(self.spacing), max(0.7 * mean, 2.0)))
        edge = mean / float(self.spacing.mean())
        return box, np.clip((1 - r) * edge + 0.5, 0, 1).astype(np.float32)

    def blob_core(self, box, centre, radii_mm) -> np.ndarray:
        """Weights `(box)` of a smooth ellipsoid on a given box."""
        x, y, z = self.grid_mm(box, centre)
        a, b, c = np.asarray(radii_mm, float)
        r = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
        return np.clip((1 - r) * min(a, b, c) / float(self.spacing.mean()) + 0.5, 0, 1).astype(np.float32)

    def mark(self, box, weight: np.ndarray, material: int | None = None, lesion: int | None = None) -> int:
        """Write a lesion's voxels (weight of at least a half, or its heaviest one) into the maps.

        Args:
            box: slices.
            weight: `(box)`.
            material: new tissue code, or None to keep the tissues.
            lesion: an id to add to; None starts a new one.

        Returns:
            The lesion's id; 0 where nothing of it lies in the scan.
        """
        inside = weight >= 0.5
        if not inside.any():
            if weight.size == 0 or float(weight.max()) <= 0.02:
                return 0
            inside = weight == weight.max()
        if lesion is None:
            if self.last_id == 255:
                return 0
            self.last_id += 1
            lesion = self.last_id
        self.lesions[box][inside] = lesion
        if material is not None:
            self.tissues[box][inside] = material
        return lesion

    def paint(self, box, weight, value: float, *, lumps: float = 2.0, add: bool = False) -> None:
        """Ask the renderer for a change."""
        self.edits.append(Edit(box, np.asarray(weight, np.float32), float(value), float(lumps), add))

    def longest_mm(self, box, weight) -> float:
        """Longest diameter of a lesion in an axial slice, mm: the widest of twelve directions."""
        mask = np.asarray(weight) >= 0.5
        if not mask.any():
            return 0.0
        k = int(np.argmax(mask.sum(axis=(0, 1))))
        i, j = np.nonzero(mask[:, :, k])
        angles = np.arange(12) * np.pi / 12
        reach = np.outer(np.cos(angles), i * self.spacing[0]) + np.outer(np.sin(angles), j * self.spacing[1])
        return float((reach.max(axis=1) - reach.min(axis=1)).max() + 0.7 * self.spacing[:2].mean())

    def third(self, region: Region, centre, words=("lower", "mid", "upper")) -> str:
        """In which third of an organ's height a scene index lies."""
        span = region.box[2].stop - region.box[2].start
        part = (centre[2] - region.box[2].start) / max(span, 1)
        return words[int(np.clip(part * 3, 0, 2))]


def tissue_is(array: np.ndarray, *tissues: Tissue) -> np.ndarray:
    """Voxels that are of one of the tissues."""
    out = array == tissues[0]
    for tissue in tissues[1:]:
        out |= array == tissue
    return out
