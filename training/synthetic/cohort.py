"""Cohorts of virtual patients on disk: one folder per patient, whole or not there, and a manifest of all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.io import read_volume, write_labels, write_scalar
from medfm_core.io.atomic import atomic_text
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Kind
from training.data.manifest_table import write_table
from training.data.statements import StudyStatements, write_statements
from training.synthetic.anatomy import REGIONS
from training.synthetic.case_folders import (
    CaseFolder,
    make_missing,
    open_cohort,
    read_truth,
    write_mosaic,
    write_preview,
    write_truth,
)
from training.synthetic.cohort_manifest import MANIFEST_COLUMNS, manifest_cells
from training.synthetic.cohort_statements import patient_statements
from training.synthetic.contrast import PHASES
from training.synthetic.lesions import KINDS
from training.synthetic.patient import VirtualPatient, synthesize_patient
from training.synthetic.physique import stream
from training.synthetic.preview import preview

VERSION = 1
COLUMNS = (
    "subject", "study", "path", "modality", "labels", "lesions", "split", "region", "phase", "organs", "findings",
    "text",
)  # fmt: skip
SPLITS = (("train", 0.8), ("val", 0.9), ("test", 1.0))


@dataclass(frozen=True)
class CohortPlan:
    """What to make.

    Args:
        count: patients.
        seed: of the first one; the others follow it.
        spacing_mm: voxel size.
        regions: scanned ranges; each patient takes one.
        findings: "random", or kinds that every patient has (empty for healthy ones).
        phase: contrast phase, None draws one per patient.
        thickness_mm: slice thickness, None for the spacing.
        prevalence: factor on how often a random patient has each kind of finding.

    Raises:
        InputError: a value out of range, or a name that is not known.
    """

    count: int
    seed: int = 0
    spacing_mm: float = 3.0
    regions: tuple[str, ...] = ("torso",)
    findings: str | tuple[str, ...] = "random"
    phase: str | None = None
    thickness_mm: float | None = None
    prevalence: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"a cohort of {self.count} patients is impossible", "ask for at least one")
        if self.seed < 0:
            raise InputError(f"the seed {self.seed} is negative", "give 0 or more")
        if not 0.5 <= self.spacing_mm <= 12:
            raise InputError(f"a spacing of {self.spacing_mm} mm is impossible", "give 0.5 to 12 mm")
        if self.thickness_mm is not None and not self.spacing_mm <= self.thickness_mm <= 20:
            raise InputError(f"slices of {self.thickness_mm} mm are impossible", "give the spacing up to 20 mm")
        if not 0 < self.prevalence <= 5:
            raise InputError(f"a prevalence factor of {self.prevalence} is impossible", "give more than 0, at most 5")
        names = () if self.findings == "random" else self.findings
        for given, known, word in (
            (self.regions, REGIONS, "region"), (names, KINDS, "finding"),
            ((self.phase,) if self.phase else (), PHASES, "contrast phase"),
        ):  # fmt: skip
            unknown = [name for name in given if name not in known]
            if unknown:
                raise InputError(f"no such {word}: {', '.join(unknown)}", f"choose from {', '.join(sorted(known))}")

    def arguments(self, number: int) -> dict[str, object]:
        """The arguments of `synthesize_patient` that make patient `number`, as JSON can hold them."""
        seed = self.seed + number
        region = self.regions[int(stream(seed, "cohort region").integers(len(self.regions)))]
        findings = self.findings if isinstance(self.findings, str) else list(self.findings)
        return {"seed": seed, "spacing_mm": self.spacing_mm, "region": region, "findings": findings,
                "prevalence": self.prevalence, "phase": self.phase, "thickness_mm": self.thickness_mm}  # fmt: skip


def make_cohort(
    plan: CohortPlan, folder: Path, *, workers: int = 1, previews: bool = False, progress: Progress = SILENT
) -> list[dict[str, str]]:
    """Make the patients that are not there yet, then write `cohort.csv`, `manifest.csv` (and `preview.png`).

    Args:
        plan: what to make.
        folder: made if missing; patients of the same plan that it holds already are kept, and what a killed run left
            half-written is removed.
        workers: processes.
        previews: whether to draw the patients.
        progress: advances by one per patient.

    Returns:
        The rows of `cohort.csv`.

    Raises:
        InputError: the folder holds a patient made with other arguments, or cannot be written.
        ResourceError: the disk is full; finished patients stay.
    """
    open_cohort(folder)
    paths = [folder / f"patient_{plan.seed + number:06d}" for number in range(plan.count)]
    cases = [_folder(plan.arguments(number), path, previews) for number, path in enumerate(paths)]
    make_missing(make_patient, [(case, case) for case in cases], "Virtual patients", workers, progress)
    rows = [manifest_row(path, folder) for path in paths]
    atomic_text(folder / "cohort.csv", _csv(rows))
    cells = [manifest_cells(row, read_truth(path)) for row, path in zip(rows, paths, strict=True)]
    write_table(folder / "manifest.csv", MANIFEST_COLUMNS, cells)
    statements = [_statements(row, path) for row, path in zip(rows, paths, strict=True)]
    write_statements(folder / "statements.jsonl", statements)
    if previews:
        write_mosaic(paths, folder)
    return rows


def make_patient(case: CaseFolder) -> None:
    """Make one patient's folder; it appears when it is whole.

    Args:
        case: the folder; its arguments are those of `synthesize_patient`.
    """
    patient = synthesize_patient(**case.arguments)
    with case.filled() as folder:
        _write_files(patient, case, folder)


def _folder(arguments: Mapping[str, object], path: Path, previews: bool) -> CaseFolder:
    return CaseFolder(path, arguments, VERSION, "patient", previews)


def truth_of(patient: VirtualPatient, arguments: Mapping[str, object]) -> dict[str, object]:
    """All that is true of a patient, as JSON can hold it."""
    names = load_vocabulary().names()
    counts = np.bincount(patient.labels.voxels.ravel(), minlength=256)
    millilitre = float(np.prod(patient.labels.spacing)) / 1000
    return {
        "version": VERSION,
        "arguments": dict(arguments),
        "phase": patient.phase,
        "organs_ml": {names[i]: round(float(counts[i]) * millilitre, 2) for i in names if counts[i]},
        "findings": [{**asdict(f), "attributes": dict(f.attributes)} for f in patient.findings],
        "report": [asdict(sentence) for sentence in patient.report],
        "parameters": dict(patient.parameters),
    }  # fmt: skip


def manifest_row(path: Path, folder: Path) -> dict[str, str]:
    """A patient's row of `cohort.csv`; paths are relative to the cohort's folder."""
    truth = read_truth(path)
    name = path.relative_to(folder).as_posix()
    draw = stream(int(truth["arguments"]["seed"]), "split").random()
    sentences = [s for s in truth["report"] if s["section"] != "impression"]
    values = (
        path.name, "ct", f"{name}/image.nii.gz", "CT", f"{name}/organs.nii.gz", f"{name}/lesions.nii.gz",
        next(split for split, limit in SPLITS if draw < limit), truth["arguments"]["region"], truth["phase"],
        ";".join(truth["organs_ml"]), ";".join(sorted({f["name"] for f in truth["findings"]})),
        " ".join(s["text"] for s in sentences),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _statements(row: Mapping[str, str], path: Path) -> StudyStatements:
    lesions = read_volume(path / "lesions.nii.gz", kind=Kind.LABEL)
    return patient_statements(row["subject"], row["study"], read_truth(path), lesions)


def report_text(patient: VirtualPatient) -> str:
    """The report as a radiologist would send it: sections with headings."""
    heads = {"technique": "TECHNIQUE", "history": "CLINICAL INFORMATION", "findings": "FINDINGS"}
    heads["impression"] = "IMPRESSION"
    parts = []
    for section, head in heads.items():
        lines = [s.text for s in patient.report if s.section == section]
        if lines:
            numbered = "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))
            body = numbered if section == "impression" else " ".join(lines)
            parts.append(f"{head}\n{body}\n")
    return "\n".join(parts)


def _write_files(patient: VirtualPatient, case: CaseFolder, folder: Path) -> None:
    vocabulary = load_vocabulary()
    colours = {organ.id: organ.colour for organ in vocabulary.organs}
    write_scalar(patient.image, folder / "image.nii.gz")
    write_labels(patient.labels, folder / "organs.nii.gz", vocabulary.names(), colours)
    kinds = {i: finding.name for finding in patient.findings for i in finding.lesion_ids}
    write_labels(patient.lesions, folder / "lesions.nii.gz", kinds)
    (folder / "report.txt").write_text(report_text(patient), encoding="utf-8", newline="\n")
    if case.preview:
        write_preview(folder, preview(patient))
    write_truth(folder, truth_of(patient, case.arguments))


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
