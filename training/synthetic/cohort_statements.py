"""A virtual patient's truth as statements: what is there, where it lies, and how the report puts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medfm_core.volume import Volume, foreground_box
from training.data.statements import Corner, Statement, StudyStatements
from training.synthetic.lesions import KINDS


def patient_statements(subject: str, study: str, truth: Mapping[str, Any], lesions: Volume) -> StudyStatements:
    """Say all that is true of a patient.

    Args:
        subject: name of the patient.
        study: name of the study.
        truth: of `truth.json`.
        lesions: which lesion each voxel belongs to.

    Returns:
        A statement without text per finding, with its place, and one per sentence of the report.
    """
    found = [_of_finding(finding, lesions) for finding in truth["findings"]]
    said = [_of_sentence(line) for line in truth["report"] if _speaks(line)]
    hidden = tuple(name for name, kind in KINDS.items() if kind.phases and truth["phase"] not in kind.phases)
    return StudyStatements(subject, study, (*found, *said), complete=True, hidden=hidden)


def _speaks(line: Mapping[str, Any]) -> bool:
    return line["organ"] is not None and line["state"] != "background"


def _of_finding(finding: Mapping[str, Any], lesions: Volume) -> Statement:
    return Statement(
        finding["organ"], finding["certainty"], finding["name"], side=finding["side"], size_mm=finding["size_mm"],
        box_ras_mm=_box(lesions, finding["lesion_ids"]),
    )  # fmt: skip


def _of_sentence(line: Mapping[str, Any]) -> Statement:
    return Statement(line["organ"], line["state"], line["finding"], line["text"], line["side"], line["size_mm"])


def _box(lesions: Volume, ids: list[int]) -> tuple[Corner, Corner] | None:
    if not ids:
        return None
    box = foreground_box(np.isin(lesions.voxels, ids))
    if box is None:
        return None
    start, stop = np.array(box[0]), np.array(box[1]) - 1
    corners = lesions.affine.to_world(np.array([start, stop]))
    low, high = corners.min(0), corners.max(0)  # the axes of virtual patients run along the world's
    return tuple(np.round(low, 1).tolist()), tuple(np.round(high, 1).tolist())
