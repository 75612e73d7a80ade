"""Cases for the segmenter: real scans from a list of files, scans labelled by an earlier net, virtual patients."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.card_inputs import InputSpec
from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.preprocessing import to_model_grid
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Kind, Volume, resample_to
from training.data.labelled_case import IGNORE, LabelledCase, load_case, make_case, save_case

# Structures that label maps name apart but that belong to a class of the segmenter.
_BELONGS_TO = {
    "kidney_cyst_left": "kidney_left",
    "kidney_cyst_right": "kidney_right",
    "atrial_appendage_left": "heart",
}
_REGIONS = ("torso", "chest", "abdomen_pelvis", "chest_abdomen", "chest_abdomen_pelvis", "torso", "abdomen")


@dataclass(frozen=True)
class CaseFile:
    """One row of a case list; `labels` is None for a scan without labels, `names` where values are vocabulary ids."""

    name: str
    image: Path
    labels: Path | None
    names: Path | None
    role: str


def read_case_list(path: Path, data: Path) -> tuple[CaseFile, ...]:
    """Read `name,image,labels,names,role` rows; paths are relative to the data folder.

    Raises:
        InputError: a file is missing.
    """
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = {key: data / row[key] if row[key] else None for key in ("image", "labels", "names")}
            for missing in (p for p in found.values() if p is not None and not p.exists()):
                raise InputError(f"{missing} of {path} is not there", "give the folder of the cases as --data")
            rows.append(CaseFile(row["name"], role=row["role"], **found))
    return tuple(rows)


def class_table(classes: Sequence[str], names: dict[int, str]) -> np.ndarray:
    """Map the values of a label map to network channels, `(256,)` uint8; what no class covers is background.

    Args:
        classes: vocabulary names in channel order, from channel 1.
        names: vocabulary name of each value of the label map.
    """
    vocabulary = load_vocabulary()
    channel_of = {}
    for channel, name in enumerate(classes, start=1):
        organ = vocabulary.by_name(name)
        channel_of |= dict.fromkeys(organ.parts or (organ.name,), channel)
    channel_of |= {part: channel_of[whole] for part, whole in _BELONGS_TO.items() if whole in channel_of}
    table = np.zeros(256, np.uint8)
    for value, name in names.items():
        table[value] = channel_of.get(name, 0)
    return table


def on_model_grid(image: Volume, labels: Volume, spec: InputSpec) -> tuple[np.ndarray, np.ndarray]:
    """Bring a scan and its label map to the model's grid, both `(D, H, W)`: HU int16 and labels."""
    _, scan = to_model_grid(image, spec)
    moved = resample_to(labels, scan.grid)
    hu = np.clip(np.rint(scan.voxels), -1024, 3071).astype(np.int16)
    return np.ascontiguousarray(hu.transpose(2, 1, 0)), np.ascontiguousarray(moved.voxels.transpose(2, 1, 0))


def real_case(file: CaseFile, classes: Sequence[str], spec: InputSpec) -> LabelledCase:
    """Read one labelled scan."""
    hu, values = on_model_grid(read_volume(file.image), read_volume(file.labels, kind=Kind.LABEL), spec)
    channels = class_table(classes, label_names(file))[values]
    return make_case(file.name, hu, channels, len(classes) + 1, spec.spacing_mm[::-1])


def label_names(file: CaseFile) -> dict[int, str]:
    """Vocabulary name of each value of a case's label map: its names file, or the vocabulary's ids without one."""
    if file.names is None:
        return {organ.id: organ.name for organ in load_vocabulary().organs}
    return {int(k): v for k, v in json.loads(file.names.read_text(encoding="utf-8"))["labels"].items()}


def pseudo_case(
    name: str, hu: np.ndarray, probabilities: np.ndarray, spec: InputSpec, floor: float = 0.6
) -> LabelledCase:
    """Label a scan with a net's own answer; what it is unsure of is not to be learnt.

    Args:
        name: what the case is called.
        hu: `(D, H, W)`.
        probabilities: `(C, D, H, W)`.
        spec: the model's input.
        floor: the least probability of the winner that counts as an answer.
    """
    classes = probabilities.argmax(0).astype(np.uint8)
    classes[probabilities.max(0) < floor] = IGNORE
    return make_case(name, hu, classes, len(probabilities), spec.spacing_mm[::-1])


def virtual_case(seed: int, classes: tuple[str, ...], spec: InputSpec, path: Path) -> LabelledCase:
    """Make, or read back, one virtual patient.

    Regions alternate so that every organ is seen whole and cut; one patient in three is healthy, so that organs
    without lesions are no exception.
    """
    if path.exists():
        return load_case(path)
    from training.synthetic.patient import synthesize_patient

    findings = "random" if seed % 3 else ()
    region = _REGIONS[seed % len(_REGIONS)]
    patient = synthesize_patient(seed, spacing_mm=spec.spacing_mm[0], region=region, findings=findings)
    vocabulary = {organ.id: organ.name for organ in load_vocabulary().organs}
    hu, values = on_model_grid(patient.image, patient.labels, spec)
    case = make_case(path.stem, hu, class_table(classes, vocabulary)[values], len(classes) + 1, spec.spacing_mm[::-1])
    save_case(case, path)
    return case


def virtual_cases(
    count: int, classes: Sequence[str], spec: InputSpec, folder: Path, workers: int = 2, progress: Progress = SILENT
) -> list[LabelledCase]:
    """Make `count` virtual patients in parallel; those already in the folder are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"virtual_{seed:05d}.npz" for seed in range(count)]
    with progress.stage("virtual patients", count) as stage, ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(virtual_case, seed, tuple(classes), spec, path) for seed, path in enumerate(paths)]
        cases = []
        for job in jobs:
            cases.append(job.result())
            stage.advance(1)
    return cases
