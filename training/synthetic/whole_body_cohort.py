"""A cohort of virtual whole bodies on disk: one small file per subject, and a manifest in the usual form.

| in the manifest | holds |
|---|---|
| `path` | the subject's vectors, and images where drawn: a safetensors file, a tensor per organ that there is |
| `organs` | the organs that were imaged; the others are nowhere |
| `feature.ORGAN.FIELD` | measurements of the organs that come as tables; empty where missing |
| `feature.age`, `feature.sex` | covariates (sex: 1 for men); `info.site` is the third |
| `target.NAME` | 1 or 0 for each of the 13 disease categories |
| `time.NAME` | years to the first diagnosis after the visit, or to the end of follow-up; empty for who has it already |
| `event.NAME` | 1 for a diagnosis, 0 for the end of follow-up |
| `info.would_miss` | organs that the subject would lack, of subjects that are complete by the plan |
| `info.factor_NAME` | the health factors, to look at: no model may read them |
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from medfm_core.errors import InputError
from medfm_core.io.atomic import write_error
from medfm_core.io.parts import part_name, sweep_parts
from medfm_core.models.pan_fm import ARCHITECTURE, PanFMConfig
from medfm_core.models.pan_fm_organs import OrganSpec
from medfm_core.models.sizes import size_config
from medfm_core.progress import SILENT, Progress
from training.data.manifest_table import write_table
from training.data.splits import Fractions, split_subjects
from training.synthetic.health import DISEASES, FACTORS, SITES, People, make_people
from training.synthetic.incidence import FollowUp, follow_up
from training.synthetic.missing_organs import MECHANISMS, Mechanism, missing_organs
from training.synthetic.organ_images import draw_organ, image_specs
from training.synthetic.organ_measures import measure

FRACTIONS = Fractions(0.6, 0.1, 0.3)


@dataclass(frozen=True)
class WholeBodyPlan:
    """What to make.

    Attributes:
        count: subjects.
        seed: decides everything.
        missing: how organs come to be missing.
        rate: share of the subjects in which an organ is missing.
        complete_test: let subjects of the test split lack nothing, and only note what they would lack, so that figures
            with organs missing can be compared on the same subjects.
        images: also draw the organs that the architecture `images` reads as volumes, from their measurements.

    Raises:
        InputError: a value out of range.
    """

    count: int
    seed: int = 0
    missing: Mechanism = "mnar"
    rate: float = 0.25
    complete_test: bool = True
    images: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise InputError(f"{self.count} subjects from seed {self.seed} are impossible", "give 1 or more, from 0 on")
        if self.missing not in MECHANISMS:
            raise InputError(f"organs cannot be missing by {self.missing!r}", f"choose from {', '.join(MECHANISMS)}")
        if not 0 <= self.rate <= 0.9:
            raise InputError(f"a rate of {self.rate} is impossible", "give 0 to 0.9")


def organ_specs() -> tuple[OrganSpec, ...]:
    """The organs as they are measured: those of the tiny architecture."""
    return size_config(ARCHITECTURE, "tiny", PanFMConfig).organs


def make_whole_bodies(plan: WholeBodyPlan, folder: Path, progress: Progress = SILENT) -> Path:
    """Make a cohort.

    Args:
        plan: what to make.
        folder: made if missing; it must not hold a cohort.
        progress: advances by one per subject.

    Returns:
        The manifest.

    Raises:
        InputError: the folder holds a cohort, or cannot be written.
        ResourceError: the disk is full.
    """
    manifest, vectors = folder / "manifest.csv", folder / "organs"
    if manifest.exists():
        raise InputError(f"{folder} holds a cohort already", "choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep_parts(folder)
        part = folder / part_name("organs")
        part.mkdir()
        try:
            rows = _write_subjects(plan, part, progress)
            shutil.rmtree(vectors, ignore_errors=True)  # of a run that was stopped before its manifest
            part.rename(vectors)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise write_error(error, folder) from error
    write_table(manifest, list(rows[0]), rows)
    return manifest


def _write_subjects(plan: WholeBodyPlan, folder: Path, progress: Progress) -> list[dict[str, object]]:
    specs = organ_specs()
    people = make_people(plan.count, plan.seed)
    later = follow_up(people, plan.seed)
    measured = {spec.name: measure(spec, people, plan.seed) for spec in specs}
    names = [f"body_{plan.seed:03d}_{number:06d}" for number in range(plan.count)]
    split = split_subjects(names, plan.seed, FRACTIONS)
    missing = missing_organs(people, list(measured), plan.missing, plan.rate, plan.seed)
    complete = np.array([plan.complete_test and split[name] == "test" for name in names])
    gone = missing & ~complete[:, None]
    rows = []
    with progress.stage("Virtual bodies", plan.count) as stage:
        for number, name in enumerate(names):
            there = [spec for spec, absent in zip(specs, gone[number], strict=True) if not absent]
            given = {spec.name: measured[spec.name][number] for spec in there}
            stored = {spec.name: np.ascontiguousarray(given[spec.name]) for spec in there if spec.kind == "vectors"}
            if plan.images:
                stored |= _images(plan, people, number, {spec.name: spec for spec in there}, given)
            save_file(stored, folder / f"{name}.safetensors")
            row: dict[str, object] = {
                "subject": name, "study": "visit", "path": f"organs/{name}.safetensors", "modality": "MR",
                "organs": list(given), "split": split[name],
            }  # fmt: skip
            would = [spec.name for spec, absent in zip(specs, missing[number], strict=True) if absent]
            row["info.would_miss"] = would if complete[number] else []
            rows.append(row | _person(people, number) | _later(later, number) | _fields(specs, given))
            stage.advance()
    return rows


def _images(
    plan: WholeBodyPlan, people: People, number: int, specs: dict[str, OrganSpec], given: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Images of the organs that there are, from what their tables say."""
    drawn = {}
    for image in image_specs():
        if image.name in given:
            measured = dict(zip(specs[image.name].fields, given[image.name].tolist(), strict=True))
            drawn[image.name] = draw_organ(image, measured, number, int(people.site[number]), plan.seed)
    return drawn


def _person(people: People, number: int) -> dict[str, object]:
    cells: dict[str, object] = {
        "info.site": SITES[int(people.site[number])],
        "feature.age": round(float(people.age[number]), 2),
        "feature.sex": int(people.men[number]),
    }
    cells |= {f"target.{name}": int(people.diseases[number, i]) for i, name in enumerate(DISEASES)}
    return cells | {f"info.factor_{name}": round(float(people.factors[number, i]), 4) for i, name in enumerate(FACTORS)}


def _later(later: FollowUp, number: int) -> dict[str, object]:
    cells: dict[str, object] = {}
    for place, name in enumerate(DISEASES):
        time, event = later.time[number, place], later.event[number, place]
        known = bool(np.isfinite(time))
        cells[f"time.{name}"] = round(float(time), 3) if known else None
        cells[f"event.{name}"] = int(event) if known else None
    return cells


def _fields(specs: tuple[OrganSpec, ...], given: dict[str, np.ndarray]) -> dict[str, object]:
    cells: dict[str, object] = {}
    for spec in specs:
        for place, field in enumerate(spec.fields):
            value = given[spec.name][place] if spec.name in given else None
            cells[f"feature.{spec.name}.{field}"] = None if value is None else float(f"{value:.6g}")
    return cells
