"""Volume, intensity and extent of every organ, and whether it is there at all.

A number is only given for what is in the scan: each structure has a state, and every state but "present" has a reason.

What counts as cut by a border is said in `medfm_core.truncation`. Some structures leave any CT of the trunk, such as
the spinal cord at the top: the vocabulary names those borders, and the reason then says that this is always so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from medfm_core import coverage
from medfm_core.anatomy import Organ, Vocabulary, load_vocabulary
from medfm_core.field_of_view import FACE_NAMES, Circle, find_circle, patient_axes
from medfm_core.label_statistics import LabelStatistics, label_statistics
from medfm_core.truncation import cut_faces
from medfm_core.volume import Volume

if TYPE_CHECKING:
    from medfm_core.segmentation import Segmentation

LEAST_VOXELS = 5
LEAST_ML = 0.05


class State(str, Enum):
    """What can be said of a structure in this scan."""

    PRESENT = "present"
    CUT = "cut"
    ABSENT = "absent"
    OUTSIDE = "outside"
    NOT_COVERED = "not_covered"


STATE_TITLES = {
    State.PRESENT: "present",
    State.CUT: "cut by the field of view",
    State.ABSENT: "not found",
    State.OUTSIDE: "not in the scan",
    State.NOT_COVERED: "not covered by the model",
}


@dataclass(frozen=True)
class OrganMeasurement:
    """One structure of the vocabulary in one scan; numbers are None unless the state is present or cut.

    Attributes:
        name: vocabulary name, "kidney_right".
        title: name for people, "Right kidney".
        id: vocabulary id, the value in the label map (composites that were summed up have no voxels of their own).
        system: body system, for grouping.
        group: organ group, for colours.
        state: what can be said of it.
        reason: one sentence for every state but present, else "".
        voxels: number of voxels.
        volume_ml: volume in millilitres.
        mean_hu, sd_hu, median_hu: intensity over the structure's finite voxels.
        extent_mm: left-right, front-back and head-foot size of the bounding box.
        centre_mm: centre of mass in RAS+ world coordinates.
        box: (start, stop) of the bounding box in voxel indices, stop exclusive.
        faces: borders that cut it: "bottom of the scan", "left side of the scan", "circular field of view", ...
        runs_on: whether it is cut by no border but those that it crosses in any CT of the trunk.
        parts: names of the measured structures that were summed up, empty for a structure with its own label.
    """

    name: str
    title: str
    id: int
    system: str
    group: str
    state: State
    reason: str = ""
    voxels: int = 0
    volume_ml: float | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None
    median_hu: float | None = None
    extent_mm: tuple[float, float, float] | None = None
    centre_mm: tuple[float, float, float] | None = None
    box: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
    faces: tuple[str, ...] = ()
    runs_on: bool = False
    parts: tuple[str, ...] = ()

    @property
    def is_seen(self) -> bool:
        """Whether there is something to measure: present or cut."""
        return self.state in (State.PRESENT, State.CUT)


@dataclass(frozen=True, eq=False)
class _Scan:
    """What `measure` knows of a scan while it goes through the structures."""

    labels: Volume
    statistics: LabelStatistics
    circle: Circle | None
    on_rim: frozenset[int]  # labels that come near the circle's border

    @property
    def height_mm(self) -> tuple[float, float]:
        """World coordinates of the scan's top and bottom along head-foot at its centre."""
        axis = patient_axes(self.labels.affine.codes)[2]
        ends = np.repeat([(np.array(self.labels.shape) - 1) / 2], 2, axis=0)
        ends[:, axis] = (-0.5, self.labels.shape[axis] - 0.5)
        z = self.labels.affine.to_world(ends)[:, 2]
        return float(z.max()), float(z.min())


def measure(
    image: Volume, segmentation: Segmentation, statistics: LabelStatistics | None = None
) -> tuple[OrganMeasurement, ...]:
    """Measure every structure of the vocabulary, and those the model does not cover as such.

    Args:
        image: intensities in HU on the segmentation's grid.
        segmentation: label map with vocabulary ids, and the names its model covers.
        statistics: the sums of this image and label map, where they are at hand already.

    Returns:
        One entry per covered structure, then the composites whose parts are all covered, then what is not covered.

    Raises:
        GeometryError: image and label map do not lie on one grid.
    """
    vocabulary = load_vocabulary()
    statistics = statistics or label_statistics(image, segmentation.labels)
    scan = _scan(image, segmentation.labels, statistics)
    covered = [vocabulary.by_name(name) for name in segmentation.covered]
    singles = _explain_missing([_measure_one(organ, scan) for organ in covered], scan)
    by_name = {m.name: m for m in singles}
    sums = [
        _measure_sum(composite, [by_name[part] for part in composite.parts], scan)
        for composite in vocabulary.composites
        if composite.name not in by_name and all(part in by_name for part in composite.parts)
    ]
    return (*singles, *sums, *_not_covered(vocabulary, covered))


def _scan(image: Volume, labels: Volume, statistics: LabelStatistics) -> _Scan:
    circle, on_rim = find_circle(image), frozenset()
    if circle is not None:
        rows, columns = circle.rim()
        counts = np.bincount(np.moveaxis(labels.voxels, circle.axis, 0)[:, rows, columns].ravel())
        on_rim = frozenset(np.flatnonzero(counts).tolist())
    return _Scan(labels, statistics, circle, on_rim)


def _measure_one(organ: Organ, scan: _Scan) -> OrganMeasurement:
    count = int(scan.statistics.counts[organ.id])
    volume_ml = count * scan.labels.affine.voxel_volume_ml
    if count == 0:
        return _without_numbers(organ, State.ABSENT, "")
    if count < LEAST_VOXELS or volume_ml < LEAST_ML:
        marked = f"{count} voxel{'s' if count > 1 else ''} ({volume_ml:.3f} mL)"
        return _without_numbers(organ, State.ABSENT, f"Only {marked} marked, too little to be this structure.")
    circle = scan.circle if organ.id in scan.on_rim else None
    return _with_numbers(organ, [organ.id], cut_faces(organ.id, scan.labels, scan.statistics, circle), scan)


def _measure_sum(composite: Organ, parts: list[OrganMeasurement], scan: _Scan) -> OrganMeasurement:
    """Pool the parts that are seen; a part that is missing is named."""
    seen = [part for part in parts if part.is_seen]
    names = tuple(part.name for part in parts)
    if not seen:
        outside = all(part.state is State.OUTSIDE for part in parts)
        reason = "None of its parts is in the scan." if outside else "None of its parts was found."
        return _without_numbers(composite, State.OUTSIDE if outside else State.ABSENT, reason, names)
    faces = tuple(dict.fromkeys(face for part in seen for face in part.faces))
    missing = [part.title for part in parts if not part.is_seen]
    note = f"Without: {', '.join(missing)}." if missing else ""
    return _with_numbers(composite, [part.id for part in seen], faces, scan, note, names)


def _with_numbers(
    organ: Organ, ids: list[int], faces: tuple[str, ...], scan: _Scan, note: str = "", parts: tuple[str, ...] = ()
) -> OrganMeasurement:
    statistics, affine = scan.statistics, scan.labels.affine
    voxels = int(statistics.counts[ids].sum())
    boxes = np.array([statistics.box(i) for i in ids])
    start, stop = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    size = [(stop - start)[axis] * affine.spacing[axis] for axis in patient_axes(affine.codes)]
    centre = np.average([statistics.centre(i) for i in ids], axis=0, weights=statistics.counts[ids])
    mean, deviation, median = statistics.intensities(ids) or (None, None, None)
    reason = note
    runs_on = bool(faces) and set(faces) <= {f"{FACE_NAMES[code]} of the scan" for code in organ.runs_on}
    if faces:
        places = " and the ".join(faces)
        what = f"Runs on beyond the {places}, as in any CT of the trunk" if runs_on else f"Cut by the {places}"
        reason = f"{what}: volume and extent are those of the visible part. {note}".strip()
    return OrganMeasurement(
        organ.name, organ.title, organ.id, organ.system, organ.group,
        state=State.CUT if faces else State.PRESENT,
        reason=reason,
        voxels=voxels,
        volume_ml=voxels * affine.voxel_volume_ml,
        mean_hu=mean, sd_hu=deviation, median_hu=median,
        extent_mm=tuple(float(s) for s in size),
        centre_mm=tuple(float(c) for c in affine.to_world(centre[None])[0]),
        box=(tuple(int(v) for v in start), tuple(int(v) for v in stop)),
        faces=faces,
        runs_on=runs_on,
        parts=parts,
    )  # fmt: skip


def _without_numbers(organ: Organ, state: State, reason: str, parts: tuple[str, ...] = ()) -> OrganMeasurement:
    return OrganMeasurement(
        organ.name, organ.title, organ.id, organ.system, organ.group, state=state, reason=reason, parts=parts
    )


def _explain_missing(measured: list[OrganMeasurement], scan: _Scan) -> list[OrganMeasurement]:
    """Tell organs that lie outside the scan from those that were not found although their region is there."""
    top_mm, bottom_mm = scan.height_mm
    step = scan.labels.affine.spacing[patient_axes(scan.labels.affine.codes)[2]]
    ends = {}
    for organ in measured:
        if organ.is_seen:
            bottom, top = sorted(scan.labels.affine.to_world(np.array(organ.box) - 0.5)[:, 2])
            ends[organ.name] = (
                top if top < top_mm - step else None,
                bottom if bottom > bottom_mm + step else None,
            )
    zero = coverage.locate(ends)
    return [
        organ if organ.is_seen or organ.reason else _explain_one(organ, zero, top_mm, bottom_mm) for organ in measured
    ]


def _explain_one(organ: OrganMeasurement, zero: float | None, top_mm: float, bottom_mm: float) -> OrganMeasurement:
    share = None if zero is None else coverage.share_in_scan(organ.name, zero, top_mm, bottom_mm)
    state, reason = State.ABSENT, "Not found; too little else was found to tell whether its region is in the scan."
    if share is not None and share < 0.15:
        side = "above" if coverage.usual_span(organ.name)[0] + zero > top_mm else "below"
        state, reason = State.OUTSIDE, f"Its usual place is {side} the scanned region."
    elif share is not None and share < 0.6:
        reason = "Not found; only part of its usual region is in the scan."
    elif share is not None:
        reason = "Not found although its usual region is in the scan: removed, very small, or missed by the model."
    return replace(organ, state=state, reason=reason)


def _not_covered(vocabulary: Vocabulary, covered: Iterable[Organ]) -> list[OrganMeasurement]:
    covered = list(covered)
    names = {organ.name for organ in covered}
    within = {part: organ.title for organ in covered for part in organ.parts}
    return [
        _without_numbers(
            organ,
            State.NOT_COVERED,
            f"Outlined as part of: {within[organ.name]}." if organ.name in within else "The model does not know it.",
        )
        for organ in vocabulary.organs
        if organ.name not in names
    ]
