"""Studies in a store whose organs can be cut out, with what is said of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.organ_boxes import OrganBox, find_boxes, units_of
from medfm_core.progress import RichProgress
from medfm_core.strict import from_dict, to_dict
from medfm_core.volume import Volume
from training.data.organ_truth import structures_of
from training.data.preparation import PreparationPlan, network_order, read_plan
from training.data.statements import StudyStatements, read_statements
from training.data.stored_volume import StoredVolume
from training.data.volume_list import WhereStored, find_rows

PREPARATION = "organ_ct"


@dataclass(frozen=True)
class OrganStudy:
    """One study.

    Attributes:
        subject: who it is of.
        split: of the manifest.
        volume: its image and label map in the store, `(D, H, W)`.
        statements: what is said of it.
        organs: units that the manifest says are in it.
    """

    subject: str
    split: str
    volume: StoredVolume
    statements: StudyStatements
    organs: tuple[str, ...]


def read_spec(card: str | None, input_file: str | None) -> InputSpec:
    """The `input` entry by which organs are cut out.

    Raises:
        InputError: neither or both are given, or it does not cut out organs.
        WeightsError: the card cannot be used.
    """
    spec = read_plan(card, input_file, PREPARATION).spec
    if spec.organs is None:
        raise InputError("the input entry has no organs", "give one that says how organs are cut out (input.organs)")
    return spec


def find_studies(
    manifests: Iterable[str], statements: Iterable[str], store: str, spec: InputSpec, split: str = "all"
) -> list[OrganStudy]:
    """Find the studies of manifests in a store, each with its statements.

    Args:
        manifests: tables of volumes.
        statements: a file of statements for each.
        store: the folder.
        spec: the `input` entry that they were prepared for.
        split: which; "all" for all.

    Raises:
        InputError: a study is not prepared, has no label map or no statements, or a file cannot be read.
    """
    found: list[OrganStudy] = []
    for manifest, said in zip(manifests, statements, strict=True):
        words = {(s.subject, s.study): s for s in read_statements(Path(said))}
        stored = find_rows(WhereStored(manifest, store), PreparationPlan(spec, PREPARATION))
        for row, key in zip(*stored.of_split(split), strict=True):
            if row.labels is None:
                raise InputError(f"row {row.number} of {manifest} has no label map", "organs cannot be cut out without")
            if (row.subject, row.study) not in words:
                raise InputError(f"{said} says nothing of row {row.number} of {manifest}", "give its statements too")
            volume = stored.store.open(key)
            units = _units_there(row.organs, spec)
            found.append(OrganStudy(row.subject, row.split, volume, words[row.subject, row.study], units))
    if not found:
        raise InputError(f"no study is in the split {split!r}", "choose another data.split")
    return found


def label_volume(study: OrganStudy) -> Volume:
    """The study's label map with axes in the order of the card's orientation."""
    return network_order(study.volume.labels())


def study_boxes(study: OrganStudy, spec: InputSpec) -> list[OrganBox]:
    """The boxes of all organ units of a study."""
    return find_boxes(label_volume(study), spec.organs, study.organs or None)


def all_boxes(studies: Sequence[OrganStudy], spec: InputSpec, store: Path) -> list[list[OrganBox]]:
    """The boxes of all studies; found once and kept in the store.

    Args:
        studies: whose.
        spec: the card's `input` entry.
        store: folder of the store.
    """
    what = json.dumps([to_dict(spec.organs, defaults=True), [(s.volume.key, s.organs) for s in studies]])
    path = store / f"organ_boxes-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [[from_dict(OrganBox, box, str(path)) for box in boxes] for boxes in kept]
    with RichProgress().stage("Find the organs", len(studies)) as stage:
        found = []
        for study in studies:
            found.append(study_boxes(study, spec))
            stage.advance()
    atomic_text(path, json.dumps([[to_dict(box, defaults=True) for box in boxes] for boxes in found]))
    return found


def crop_corners(study: OrganStudy, box: OrganBox) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest RAS+ mm of what a crop shows."""
    start, stop = np.array(box.start)[::-1], np.array(box.stop)[::-1] - 1
    corners = study.volume.affine.to_world(np.array([start, stop]))
    return tuple(corners.min(0).tolist()), tuple(corners.max(0).tolist())


def unit_structures(spec: InputSpec) -> dict[str, frozenset[str]]:
    """Single structures of every organ unit of a card."""
    return {
        unit: frozenset().union(*(structures_of(name) for name in members))
        for unit, members in units_of(spec.organs).items()
    }


def _units_there(organs: Iterable[str] | None, spec: InputSpec) -> tuple[str, ...]:
    """Units of which the manifest names a structure; none where it names no organs at all."""
    there = frozenset().union(*(structures_of(name) for name in organs or ()))
    return tuple(unit for unit, structures in unit_structures(spec).items() if structures & there)
