"""Cohorts of virtual heads on disk: one folder per head, whole or not there, and the manifest of all scans."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io import write_labels, write_scalar
from medfm_core.progress import SILENT, Progress
from training.data.manifest_table import write_table
from training.synthetic.brain.cohort_manifest import MANIFEST_COLUMNS, manifest_rows
from training.synthetic.brain.lesions import LESION_NAMES
from training.synthetic.brain.parts import number_names
from training.synthetic.brain.preview import preview
from training.synthetic.brain.subject import BrainPlan, VirtualBrain, describe_person, synthesize_brain
from training.synthetic.case_folders import (
    CaseFolder,
    make_missing,
    open_cohort,
    read_truth,
    write_mosaic,
    write_preview,
    write_truth,
)

VERSION = 1


@dataclass(frozen=True)
class BrainCohort:
    """What to make.

    Attributes:
        count: heads.
        seed: of the first one; the others follow it.
        plan: how each is made.

    Raises:
        InputError: a value out of range.
    """

    count: int
    seed: int = 0
    plan: BrainPlan = field(default_factory=BrainPlan)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"a cohort of {self.count} heads is impossible", "ask for at least one")
        if self.seed < 0:
            raise InputError(f"the seed {self.seed} is negative", "give 0 or more")

    def arguments(self, number: int) -> dict[str, object]:
        """What makes head `number`, as JSON can hold it; label maps count by their names, not their folder."""
        plan = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.plan).items()}
        plan["label_maps"] = [Path(path).name for path in self.plan.label_maps]
        return {"seed": self.seed + number, **plan}


def make_brains(
    cohort: BrainCohort, folder: Path, *, workers: int = 1, previews: bool = False, progress: Progress = SILENT
) -> list[dict[str, object]]:
    """Make the heads that are not there yet, then write `manifest.csv` (and `preview.png`).

    Args:
        cohort: what to make.
        folder: made if missing; heads of the same plan that it holds already are kept.
        workers: processes.
        previews: whether to draw the heads.
        progress: advances by one per head.

    Returns:
        The rows of the manifest, one per scan.

    Raises:
        InputError: the folder holds a head made otherwise, or cannot be written.
        ResourceError: the disk is full; finished heads stay.
    """
    open_cohort(folder)
    paths = [folder / f"brain_{cohort.seed + number:06d}" for number in range(cohort.count)]
    cases = [CaseFolder(path, cohort.arguments(number), VERSION, "head", previews) for number, path in enumerate(paths)]
    jobs = [(case, (cohort, number, case)) for number, case in enumerate(cases)]
    make_missing(_make, jobs, "Virtual heads", workers, progress)
    rows = [row for path in paths for row in manifest_rows(path.name, read_truth(path))]
    write_table(folder / "manifest.csv", MANIFEST_COLUMNS, rows)
    if previews:
        write_mosaic(paths, folder)
    return rows


def make_brain(cohort: BrainCohort, number: int, case: CaseFolder) -> None:
    """Make one head's folder; it appears when it is whole."""
    brain = synthesize_brain(cohort.seed + number, cohort.plan)
    with case.filled() as folder:
        _write_files(brain, case, folder)


def _make(job: tuple[BrainCohort, int, CaseFolder]) -> None:
    make_brain(*job)


def _write_files(brain: VirtualBrain, case: CaseFolder, folder: Path) -> None:
    for sequence, volume in brain.scans.items():
        write_scalar(volume, folder / f"{sequence}.nii.gz")
    write_labels(brain.labels, folder / "labels.nii.gz", number_names())
    write_labels(brain.lesions, folder / "lesions.nii.gz", LESION_NAMES)
    if case.preview:
        write_preview(folder, preview(brain))
    about = {"version": VERSION, "arguments": dict(case.arguments), "person": describe_person(brain.person)}
    write_truth(folder, {**about, **brain.truth})
