"""Where each organ lies in a label map, and which box is cut out around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_inputs import WHOLE_SCAN, OrganCrop
from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from medfm_core.volume import Volume, foreground_box

Index = tuple[int, int, int]


@dataclass(frozen=True)
class OrganBox:
    """The box of one organ, or of a section of it; indices of the label map, `stop` is not in it.

    Attributes:
        unit: name of the organ unit.
        members: structures of the unit.
        section: number of the section along the body, from 0.
        tight_start: first voxel of the organ along each axis.
        tight_stop: the voxel after its last.
        start: first voxel of what is cut out.
        stop: the voxel after its last.
    """

    unit: str
    members: tuple[str, ...]
    section: int
    tight_start: Index
    tight_stop: Index
    start: Index
    stop: Index


def find_boxes(labels: Volume, crop: OrganCrop, units: Iterable[str] | None = None) -> list[OrganBox]:
    """Find the box of every organ unit that is in a label map.

    Args:
        labels: the vocabulary's numbers; the last array axis runs along the body.
        crop: the card's rule.
        units: names of units; None for all.

    Returns:
        In the order of the card's units, sections from the first slice on; units without a voxel are missing.

    Raises:
        InputError: a unit is not one of the card's.
    """
    known = units_of(crop)
    wanted = list(known if units is None else units)
    for name in wanted:
        if name not in known:
            raise InputError(unknown_name("organ unit", name, known))
    extents = _extents(labels.voxels)
    found = []
    for name in wanted:
        tight = _union(extents, label_ids(known[name]))
        if tight is None:
            continue
        for section, (start, stop) in enumerate(_sections(labels, known[name], tight, crop.section_mm.get(name))):
            sides = [_side(start[axis], stop[axis], labels.shape[axis], crop) for axis in (0, 1)]
            begin, end = zip(*sides, (start[2], stop[2]), strict=True)
            found.append(OrganBox(name, known[name], section, start, stop, begin, end))
    return found


def label_ids(members: Iterable[str]) -> list[int]:
    """Label values of structures and composites, and of all parts that a composite may be told by."""
    vocabulary = load_vocabulary()
    names = [part for name in members for part in (name, *vocabulary.expand(name))]
    return sorted({vocabulary.by_name(name).id for name in names})


def units_of(crop: OrganCrop) -> Mapping[str, tuple[str, ...]]:
    """The card's units; every structure and composite by itself where it names none; none to cut out of whole scans."""
    if crop.whole:
        return {WHOLE_SCAN: tuple(organ.name for organ in load_vocabulary().organs)}
    return crop.units or {name: (name,) for name in load_vocabulary().names().values()}


def _extents(voxels: np.ndarray) -> dict[int, tuple[Index, Index]]:
    """Box of every label value, in one pass over the foreground."""
    body = foreground_box(voxels)
    if body is None:
        return {}
    part = voxels[tuple(slice(a, b) for a, b in zip(*body, strict=True))]
    order = np.argsort([-abs(stride) for stride in part.strides])  # slices that lie together in memory
    there = _presence(part.transpose(order), int(part.max()) + 1)
    found = {}
    for value in np.flatnonzero(there[0].any(0)):
        if value:
            hits = [np.flatnonzero(there[int(place)][:, value]) for place in np.argsort(order)]
            sides = [(int(h[0]) + first, int(h[-1]) + first + 1) for h, first in zip(hits, body[0], strict=True)]
            found[int(value)] = (tuple(a for a, _ in sides), tuple(b for _, b in sides))
    return found


def _presence(voxels: np.ndarray, count: int) -> list[np.ndarray]:
    """Per axis, which values its slices hold: `(length, count)` bool."""
    there = [np.zeros((length, count), bool) for length in voxels.shape]
    rows, columns = np.arange(voxels.shape[1])[:, None], np.arange(voxels.shape[2])[None, :]
    for index, picture in enumerate(voxels):
        there[1][rows, picture] = True
        there[2][columns, picture] = True
        there[0][index, picture.ravel()] = True
    return there


def _union(extents: dict[int, tuple[Index, Index]], ids: list[int]) -> tuple[Index, Index] | None:
    boxes = [extents[number] for number in ids if number in extents]
    if not boxes:
        return None
    start, stop = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    return tuple(start.tolist()), tuple(stop.tolist())


def _sections(
    labels: Volume, members: tuple[str, ...], tight: tuple[Index, Index], longest_mm: float | None
) -> Iterator[tuple[Index, Index]]:
    """The box, or sections of equal length along the last axis, each with its own tight box."""
    (start, stop), step = tight, labels.spacing[2]
    count = 1 if longest_mm is None else max(1, int(np.ceil((stop[2] - start[2]) * step / longest_mm - 1e-6)))
    if count == 1:
        yield start, stop
        return
    cuts = np.round(np.linspace(start[2], stop[2], count + 1)).astype(int)
    for low, high in pairwise(cuts):
        part = labels.voxels[start[0] : stop[0], start[1] : stop[1], low:high]
        box = foreground_box(np.isin(part, label_ids(members)))
        if box is not None:
            origin = (start[0], start[1], int(low))
            yield tuple(tuple(o + n for o, n in zip(origin, corner, strict=True)) for corner in box)


def _side(first: int, last: int, length: int, crop: OrganCrop) -> tuple[int, int]:
    """Grow or shorten one side of a box within a slice: TotalFM spec, section 1.5, step 3."""
    if length <= crop.shortest:
        return 0, length
    wanted = min(max(last - first, crop.shortest), crop.longest)
    if wanted == last - first:
        return first, last
    start = (first + last - wanted) // 2
    start = min(max(start, 0), length - wanted)
    return start, start + wanted
