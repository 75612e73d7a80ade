"""Registration and skull stripping of a manifest's brain MRI, once, before `training.prepare`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfm_core.brain_doubts import brain_doubts
from medfm_core.brain_standard import StandardBrain, StandardPlan, to_standard
from medfm_core.errors import InputError
from medfm_core.io import atomic_bytes, atomic_text, read_volume, write_labels, write_scalar
from medfm_core.progress import SILENT, Progress
from medfm_core.report.brain_figures import registration_figure
from medfm_core.volume import Kind, Volume, resample_to
from training.data.manifest import Manifest, ManifestRow
from training.data.manifest_table import read_table, write_table

IMAGE, LABELS, FIGURE, FACTS = "image.nii.gz", "labels.nii.gz", "registration.png", "standard.json"


@dataclass(frozen=True)
class Standardised:
    """What became of a row.

    Attributes:
        number: of the row, the header is 1.
        folder: where its files are, relative to the output; "" where it failed.
        doubts: sentences; of a row that failed, why.
    """

    number: int
    folder: str
    doubts: tuple[str, ...] = ()


def standardise_row(row: ManifestRow, plan: StandardPlan, folder: Path, progress: Progress = SILENT) -> Standardised:
    """Strip and register one scan, and bring its label map along.

    Args:
        row: of the manifest.
        plan: from `standard_plan`.
        folder: receives `image.nii.gz`, `labels.nii.gz`, `registration.png` and `standard.json`; made if missing.
        progress: may cancel.

    Raises:
        InputError: it cannot be read, is no MR, or shows no brain that could be registered.
        ResourceError: a tool failed, or the disk is full.
    """
    if row.modality != "MR":
        raise InputError(f"the row is {row.modality}, not MR", "leave it out")
    scan = read_volume(row.path, series=row.series or None)
    found = to_standard(scan, plan, progress)
    folder.mkdir(parents=True, exist_ok=True)
    write_scalar(Volume(found.image.voxels, found.image.affine), folder / IMAGE)
    if row.labels is not None:
        labels = labels_in_standard(read_volume(row.labels, kind=Kind.LABEL), found)
        write_labels(labels, folder / LABELS, dict(row.label_names))
    if found.registration is not None:
        atomic_bytes(folder / FIGURE, registration_figure(found.image, plan.template))
    doubts = (*(found.registration.doubts() if found.registration else ()), *brain_doubts(found.image))
    atomic_text(folder / FACTS, json.dumps(_facts(found, plan, doubts), indent=1) + "\n")
    return Standardised(row.number, folder.name, doubts)


def labels_in_standard(labels: Volume, found: StandardBrain) -> Volume:
    """Bring a label map of a scan onto the grid of its registered image; it keeps its labels, picked, not mixed.

    Args:
        labels: on any grid of the scan's own space.
        found: of the scan.
    """
    moved = labels if found.registration is None else found.registration.moved(labels)
    return resample_to(moved, found.image.grid)


def standardise_manifest(
    manifest: Manifest, out: Path, plan: StandardPlan, progress: Progress = SILENT
) -> list[Standardised]:
    """Do so for all rows, and write a manifest of the results beside them.

    A row whose result is there already is not done again. One that fails is left out of the new manifest.

    Args:
        manifest: as read.
        out: folder for the results and `manifest.csv`.
        plan: from `standard_plan`.
        progress: advances by rows; may cancel.

    Returns:
        One per row.

    Raises:
        MedFMError: the results cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = []
    with progress.stage("Standardise", len(manifest.rows)) as stage:
        for row in manifest.rows:
            folder = out / f"row{row.number:06d}"
            try:
                done.append(_known(row, folder, plan) or standardise_row(row, plan, folder))
            except InputError as error:
                done.append(Standardised(row.number, "", (str(error),)))
            stage.advance()
    _write_manifest(manifest, out, done)
    return done


def _known(row: ManifestRow, folder: Path, plan: StandardPlan) -> Standardised | None:
    """The result of an earlier run with the same plan."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = facts.get("plan") == _plan(plan) and (folder / IMAGE).is_file()
    return Standardised(row.number, folder.name, tuple(facts.get("doubts", ()))) if same else None


def _write_manifest(manifest: Manifest, out: Path, done: Sequence[Standardised]) -> None:
    table, places = read_table(manifest.path), {one.number: one.folder for one in done}
    labelled = {row.number for row in manifest.rows if row.labels is not None}
    made: list[Mapping[str, Any]] = []
    for number, cells in zip(table.numbers, table.rows, strict=True):
        if not places.get(number):
            continue
        changed = {**cells, "path": f"{places[number]}/{IMAGE}"}
        if "series" in cells:
            changed["series"] = ""
        if "labels" in cells:
            changed["labels"] = f"{places[number]}/{LABELS}" if number in labelled else ""
        if cells.get("label_names", "").endswith(".json"):
            changed["label_names"] = str((manifest.path.parent / cells["label_names"]).absolute())
        made.append(changed)
    if not made:
        raise InputError("no row could be standardised", "see the reasons above")
    write_table(out / "manifest.csv", table.columns, made)


def _plan(plan: StandardPlan) -> dict[str, Any]:
    return {"stripped_by": plan.stripper.tool if plan.stripper else None, "template": plan.template_name or None}


def _facts(found: StandardBrain, plan: StandardPlan, doubts: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"plan": _plan(plan), "doubts": list(doubts)}
    if found.registration is not None:
        facts["template_to_scan_ras"] = found.registration.to_scan.tolist()
        facts["overlap"] = round(found.registration.overlap, 4)
    return facts
