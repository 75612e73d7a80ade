"""Findings that say that an organ is not there: told from the outlines, not from scores.

An encoder sees only organs that were found, so it cannot say that one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medfm_core import coverage
from medfm_core.anatomy import FindingKind, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.field_of_view import patient_axes
from medfm_core.finding_places import side_of
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_finding import ABSENT, NOT_ASSESSABLE, PRESENT, UNCERTAIN, OrganFinding
from medfm_core.volume import Volume

NAMES = frozenset({"absent_gallbladder", "absent_kidney", "absent_spleen"})
LEAST_SHARE = 0.6  # of the organ's usual height that must be within the scan before it can be called missing
_FROM = "Told from the organ outlines, not from a score:"


def assess_absence(
    kind: FindingKind, measurements: Sequence[OrganMeasurement], labels: Volume
) -> tuple[OrganFinding, ...]:
    """Say whether organs are missing.

    Args:
        kind: one of `NAMES`.
        measurements: of the scan.
        labels: the label map that was measured.

    Returns:
        One per structure that the finding names.
    """
    by_name = {m.name: m for m in measurements}
    shares = shares_in_scan(measurements, labels)
    names = dict.fromkeys(part for organ in kind.organs for part in structures_of(organ, load_vocabulary()))
    return tuple(_one(kind, name, by_name.get(name), shares) for name in names)


def shares_in_scan(measurements: Sequence[OrganMeasurement], labels: Volume) -> dict[str, float]:
    """Estimate how much of each organ's usual height the scan shows, from the organs that were found.

    Args:
        measurements: of the scan.
        labels: the label map that was measured; its voxels are not read.

    Returns:
        0 to 1 by name of the measured structure; those of which nothing can be said are left out.
    """
    axis = patient_axes(labels.affine.codes)[2]
    ends = np.repeat([(np.array(labels.shape) - 1) / 2], 2, axis=0)
    ends[:, axis] = (-0.5, labels.shape[axis] - 0.5)
    low, high = sorted(labels.affine.to_world(ends)[:, 2])
    step = labels.spacing[axis]
    found = {}
    for organ in measurements:
        if organ.is_seen and not organ.parts:
            bottom, top = sorted(labels.affine.to_world(np.array(organ.box) - 0.5)[:, 2])
            found[organ.name] = (top if top < high - step else None, bottom if bottom > low + step else None)
    zero = coverage.locate(found)
    if zero is None:
        return {}
    shares = {organ.name: coverage.share_in_scan(organ.name, zero, high, low) for organ in measurements}
    return {name: share for name, share in shares.items() if share is not None}


def _one(kind: FindingKind, name: str, organ: OrganMeasurement | None, shares: Mapping[str, float]) -> OrganFinding:
    state, reason = _judge(organ, shares.get(name))
    return OrganFinding(kind.name, kind.label, name, state, side_of(name), reason=reason)


def _judge(organ: OrganMeasurement | None, share: float | None) -> tuple[str, str]:
    if organ is None or organ.state is State.NOT_COVERED:
        return NOT_ASSESSABLE, "The organ model does not look for this organ."
    if organ.is_seen:
        return ABSENT, f"{_FROM} the organ was found, {organ.volume_ml:.1f} mL of it."
    if organ.state is State.OUTSIDE:
        return NOT_ASSESSABLE, f"Its place is not in the scan. {organ.reason}".strip()
    if share is None:
        return NOT_ASSESSABLE, f"Whether its place is in the scan is not known. {organ.reason}".strip()
    if share < LEAST_SHARE:
        return UNCERTAIN, f"{_FROM} not found, but only part of its usual place is in the scan."
    return PRESENT, f"{_FROM} not found although its usual place is in the scan; very small or overlooked is possible."
