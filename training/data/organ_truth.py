"""What is true of one organ unit in one study, finding by finding, as far as the study's statements tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from medfm_core.anatomy import findings as catalogue
from medfm_core.anatomy import load_vocabulary
from training.data.statements import Corner, Statement, StudyStatements

PRESENT, UNKNOWN, ABSENT = 1, 0, -1
Box = tuple[Corner, Corner]
_GOOD_PART = 0.25


@lru_cache(maxsize=1024)
def structures_of(name: str) -> frozenset[str]:
    """The single structures that the name of a structure, composite or group stands for.

    Raises:
        InputError: the vocabulary has no such name.
    """
    return frozenset(catalogue.structures_of(name, load_vocabulary()))


def unit_truth(
    study: StudyStatements, structures: frozenset[str], findings: Sequence[str], crop_ras_mm: Box | None = None
) -> np.ndarray:
    """Say for each finding whether an organ unit has it.

    A finding stated of the unit is there, unless it has a place and that place is hardly in the crop: then nothing is
    known. What is never stated of the unit is absent in a complete study, unless the scan cannot show it, and unknown
    in any other. In a complete study the statements without text are the truth; sentences only put it into words.

    Args:
        study: what is known.
        structures: single structures of the unit.
        findings: names, `F` of them.
        crop_ras_mm: lowest and highest corner of what the crop shows; None where places shall not count.

    Returns:
        `(F,)` int8 of PRESENT, UNKNOWN, ABSENT.
    """
    place = {name: number for number, name in enumerate(findings)}
    truth = np.full(len(findings), ABSENT if study.complete else UNKNOWN, np.int8)
    truth[[place[name] for name in study.hidden if name in place]] = UNKNOWN
    lines = [line for line in study.statements if line.finding in place and not (study.complete and line.text)]
    for state in ("absent", "uncertain", "present"):  # the stronger word last
        for line in lines:
            if line.state == state and not structures_of(line.organ).isdisjoint(structures):
                number = place[line.finding]
                truth[number] = _verdict(line, crop_ras_mm, truth[number])
    return truth


def finding_boxes(study: StudyStatements, structures: frozenset[str], findings: Sequence[str]) -> dict[int, Box]:
    """The boxes, RAS+ mm, of the findings that an organ unit has, by their number; those without a place are missing.

    Args:
        study: what is known.
        structures: single structures of the unit.
        findings: names.
    """
    place = {name: number for number, name in enumerate(findings)}
    boxes: dict[int, list[Box]] = {}
    for line in study.statements:
        here = line.finding in place and line.state == "present" and line.box_ras_mm is not None
        if here and not structures_of(line.organ).isdisjoint(structures):
            boxes.setdefault(place[line.finding], []).append(line.box_ras_mm)
    return {
        number: (tuple(np.min([low for low, _ in found], 0)), tuple(np.max([high for _, high in found], 0)))
        for number, found in boxes.items()
    }


def _verdict(line: Statement, crop: Box | None, before: int) -> int:
    if line.state == "absent":
        return ABSENT
    if line.state == "present" and (crop is None or line.box_ras_mm is None or _shows(crop, line.box_ras_mm)):
        return PRESENT
    return max(before, UNKNOWN)


def _shows(crop: Box, finding: Box) -> bool:
    """Whether a good part of the finding is in the crop, or a good part of the crop is within the finding."""
    low, high = np.maximum(crop[0], finding[0]), np.minimum(crop[1], finding[1])
    common = float(np.clip(high - low + 1.0, 0.0, None).prod())  # 1 mm more: a box of one voxel has no extent
    sizes = [float((np.subtract(box[1], box[0]) + 1.0).prod()) for box in (crop, finding)]
    return common >= _GOOD_PART * min(sizes)
