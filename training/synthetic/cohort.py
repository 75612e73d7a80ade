"""Cohorts of virtual patients on disk: one folder per patient, whole or not there, and a manifest of all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.io import read_volume, write_labels, write_scalar
from medfm_core.io.atomic import atomic_bytes, atomic_text, write_error
from medfm_core.io.parts import part_name, sweep_parts
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Kind
from training.data.manifest_table import write_table
from training.data.statements import StudyStatements, write_statements
from training.synthetic.anatomy import REGIONS
from training.synthetic.cohort_manifest import MANIFEST_COLUMNS, manifest_cells
from training.synthetic.cohort_statements import patient_statements
from training.synthetic.contrast import PHASES
from training.synthetic.lesions import KINDS
from training.synthetic.patient import VirtualPatient, synthesize_patient
from training.synthetic.physique import stream
from training.synthetic.preview import mosaic, preview

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    sweep_parts(folder)
    jobs = [(plan.arguments(n), folder / f"patient_{plan.seed + n:06d}", previews) for n in range(plan.count)]
    open_jobs = [job for job in jobs if not is_complete(job[1], job[0], previews)]
    with progress.stage("Virtual patients", plan.count) as stage:
        stage.advance(len(jobs) - len(open_jobs))
        if workers <= 1 or len(open_jobs) < 2:
            for job in open_jobs:
                make_patient(*job)
                stage.advance()
        else:
            with ProcessPoolExecutor(min(workers, len(open_jobs)), mp_context=get_context("spawn")) as pool:
                try:
                    for _ in pool.map(_make, open_jobs):
                        stage.advance()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    rows = [manifest_row(path, folder) for _, path, _ in jobs]
    atomic_text(folder / "cohort.csv", _csv(rows))
    cells = [manifest_cells(row, _truth(path)) for row, (_, path, _) in zip(rows, jobs, strict=True)]
    write_table(folder / "manifest.csv", MANIFEST_COLUMNS, cells)
    write_statements(
        folder / "statements.jsonl", [_statements(row, path) for row, (_, path, _) in zip(rows, jobs, strict=True)]
    )
    if previews:
        _write_mosaic([path for _, path, _ in jobs], folder / "preview.png")
    return rows


def make_patient(arguments: Mapping[str, object], path: Path, previews: bool = False) -> None:
    """Make one patient's folder; it appears when it is whole.

    Args:
        arguments: of `synthesize_patient`.
        path: the folder to make.
        previews: whether to draw `preview.png` as well.
    """
    if path.exists():  # whole, but without the picture that is wanted now
        shutil.rmtree(path)
    patient = synthesize_patient(**arguments)
    temporary = path.with_name(part_name(path.name))
    try:
        temporary.mkdir()
        _write_files(patient, arguments, temporary, previews)
        os.replace(temporary, path)
    except OSError as error:
        if not is_complete(path, arguments, previews):  # a worker that outlived a killed run may have come first
            raise write_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_complete(path: Path, arguments: Mapping[str, object], previews: bool = False) -> bool:
    """Whether a folder holds the patient of these arguments.

    Raises:
        InputError: it holds something else.
    """
    if not path.exists():
        return False
    try:
        truth = json.loads((path / "truth.json").read_text(encoding="utf-8"))
        same = truth["arguments"] == dict(arguments) and truth["version"] == VERSION
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise InputError(f"{path} holds another patient than the one asked for", "choose an empty folder")
    return not previews or (path / "preview.png").is_file()


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
    truth = _truth(path)
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
    return patient_statements(row["subject"], row["study"], _truth(path), lesions)


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


def _truth(path: Path) -> dict[str, object]:
    return json.loads((path / "truth.json").read_text(encoding="utf-8"))


def _make(job: tuple[Mapping[str, object], Path, bool]) -> None:
    make_patient(*job)


def _write_files(patient: VirtualPatient, arguments: Mapping[str, object], folder: Path, previews: bool) -> None:
    vocabulary = load_vocabulary()
    colours = {organ.id: organ.colour for organ in vocabulary.organs}
    write_scalar(patient.image, folder / "image.nii.gz")
    write_labels(patient.labels, folder / "organs.nii.gz", vocabulary.names(), colours)
    kinds = {i: finding.name for finding in patient.findings for i in finding.lesion_ids}
    write_labels(patient.lesions, folder / "lesions.nii.gz", kinds)
    (folder / "report.txt").write_text(report_text(patient), encoding="utf-8", newline="\n")
    if previews:
        (folder / "preview.png").write_bytes(_png(preview(patient)))
    (folder / "truth.json").write_text(json.dumps(truth_of(patient, arguments), indent=1) + "\n", encoding="utf-8")


def _write_mosaic(folders: Sequence[Path], path: Path, most: int = 24) -> None:
    """All previews (the first `most`) in one picture."""
    from matplotlib.image import imread

    pictures = [(imread(folder / "preview.png")[:, :, :3] * 255).astype(np.uint8) for folder in folders[:most]]
    atomic_bytes(path, _png(mosaic(pictures)))


def _png(picture: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return buffer.getvalue()


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
