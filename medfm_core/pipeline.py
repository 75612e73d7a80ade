"""From a scan to a folder of results: a list of stages, each of which knows a little more than the one before.

A stage is a function from `(Analysis, Work)` to `Analysis`. Findings and embeddings are stages of their own, which run
where a findings model is there (`medfm_core.findings_stage`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfm_core import body_stage, findings_stage, report, saliency_stage
from medfm_core.analysis import Analysis, Options, Work
from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import default_card, load_card
from medfm_core.errors import InputError, ModalityError
from medfm_core.guards import machine_facts, plain_resource_errors
from medfm_core.inference.memory import MemoryPlan, plan_memory
from medfm_core.io import atomic_text, clamp_air, read_header, read_volume, write_labels
from medfm_core.io.reading import Source
from medfm_core.label_statistics import label_statistics
from medfm_core.measurements import measure
from medfm_core.plausibility import Caution, check_image, check_result
from medfm_core.progress import SILENT, Progress
from medfm_core.results_folder import MANIFEST, results_folder
from medfm_core.selection import keep_organs
from medfm_core.settings import read_settings
from medfm_core.volume import Kind, Volume
from medfm_core.voxel_hash import voxel_hash

if TYPE_CHECKING:
    from medfm_core.analysis import Predictor
    from medfm_core.segmentation import Segmentation

SEGMENTATION, LABELS, MEASUREMENTS, REPORT = (
    "segmentation.nii.gz",
    "segmentation.json",
    "measurements.csv",
    "report.html",
)
FILES = (REPORT, MEASUREMENTS, SEGMENTATION, LABELS, MANIFEST)


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline."""

    name: str
    title: str
    run: Callable[[Analysis, Work], Analysis]


def analyze(
    source: Source,
    out_dir: str | Path,
    options: Options | None = None,
    *,
    progress: Progress = SILENT,
    predictor: Predictor | None = None,
) -> Analysis:
    """Outline and measure the organs of a CT, and write the results.

    Args:
        source: an image file, a DICOM folder, or a list of DICOM files.
        out_dir: folder for `FILES`; made whole at the end, or not at all.
        options: what else is wanted.
        progress: told of the stages; may cancel.
        predictor: a loaded `OrganPredictor` to use instead of loading the card's weights.

    Returns:
        The finished analysis; the files are in `out_dir`.

    Raises:
        InputError: the input, an option or the folder cannot be used (ModalityError: it is no CT in HU).
        WeightsError: the model is missing or damaged.
        ResourceError: too little memory or disk, or a device that is not there.
    """
    analysis = _begin(options or Options())
    with plain_resource_errors(out_dir), results_folder(out_dir, overwrite=analysis.options.overwrite) as folder:
        work = Work(source, folder, progress, predictor)
        analysis = _run(_stages(analysis), analysis, work)
        progress.check()
        files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        manifest = report.manifest(analysis, files, machine_facts()) | findings_stage.manifest_entry(analysis)
        manifest |= body_stage.manifest_entry(analysis)
        atomic_text(folder / MANIFEST, report.to_json(manifest))
    return analysis


def segment_file(
    source: Source,
    out_file: str | Path,
    options: Options | None = None,
    *,
    progress: Progress = SILENT,
    predictor: Predictor | None = None,
) -> Analysis:
    """Outline the organs of a CT and write nothing but the label map.

    Args:
        source: as in `analyze`.
        out_file: ends in .nii.gz, .nii, .nrrd or .seg.nrrd.
        options: what else is wanted; `overwrite` allows to replace the file.
        progress: told of the stages; may cancel.
        predictor: as in `analyze`.

    Returns:
        The analysis up to the segmentation.

    Raises:
        MedFMError: as in `analyze`.
    """
    out_file = Path(out_file)
    options = options or Options()
    if not out_file.name.lower().endswith((".nii.gz", ".nii", ".nrrd")):
        raise InputError(f"{out_file} has no known ending", "end --out in .nii.gz, .nii, .nrrd or .seg.nrrd")
    if out_file.exists() and not options.overwrite:
        raise InputError(f"{out_file} exists already", "choose another --out or add --overwrite")
    if not out_file.parent.is_dir():
        raise InputError(f"the folder of {out_file} does not exist", "make it first, or choose another --out")
    analysis = _begin(replace(options, findings=False, findings_card=None, body_card=None))
    with plain_resource_errors(out_file):
        work = Work(source, out_file.parent, progress, predictor)
        analysis = _run(STAGES[:4], analysis, work)
        with progress.stage("Write the label map"):
            _write_labels(analysis.segmentation, out_file)
    return analysis


def encode_file(
    source: Source,
    options: Options,
    organ: str | None = None,
    *,
    progress: Progress = SILENT,
    predictor: Predictor | None = None,
) -> Analysis:
    """Outline, measure and encode organs of a CT, and write nothing.

    Args:
        source: as in `analyze`.
        options: what else is wanted; `findings` must not be False.
        organ: encode only the units that answer for this organ; None for all.
        progress: told of the stages; may cancel.
        predictor: as in `analyze`.

    Returns:
        The analysis up to the embeddings.

    Raises:
        MedFMError: as in `analyze`; WeightsError where no findings model is there.
    """
    analysis = _begin(replace(options, findings=True, body_card=body_stage.NONE))
    encode = replace(FINDINGS_STAGES[0], run=partial(findings_stage.encode, organ=organ))
    with plain_resource_errors("the result"):
        return _run((*STAGES[:5], encode), analysis, Work(source, Path(), progress, predictor))


def _begin(options: Options) -> Analysis:
    """Everything that can be refused before the input is opened."""
    card = load_card(options.card_id) if options.card_id else default_card("organ_segmentation")
    if card.task != "organ_segmentation":
        raise InputError(f"the model {card.id} is for {card.task}, not for outlining organs", "see `medfm models list`")
    keep_organs(options.organs, card.classes)
    saliency_stage.check_wish(options.saliency)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    findings_card = findings_stage.choose_card(options)
    body_card = body_stage.choose_card(options, findings_card)
    return Analysis(options, created, card, findings_card=findings_card, body_card=body_card)


def _stages(analysis: Analysis) -> tuple[Stage, ...]:
    """The stages of a run, by the models that it uses."""
    if analysis.findings_card is None:
        return STAGES
    encode, *others = FINDINGS_STAGES
    return (*STAGES[:-1], encode, *(BODY_STAGES if analysis.body_card else ()), *others, STAGES[-1])


def _run(stages: Sequence[Stage], analysis: Analysis, work: Work) -> Analysis:
    for stage in stages:
        start = time.perf_counter()
        with work.progress.stage(stage.title):
            analysis = stage.run(analysis, work)
        seconds = {**analysis.seconds, stage.name: time.perf_counter() - start}
        analysis = replace(analysis, seconds=seconds)
    return analysis


def _plan(analysis: Analysis, work: Work) -> Analysis:
    """Plan, and begin to load the net: it loads while the scan is read and checked."""
    options = analysis.options
    if work.predictor is None and analysis.card.source.kind in ("hub", "package"):
        from medfm_core.segmenter_choice import check_ready

        check_ready(analysis.card)
    header = read_header(work.source, options.series, nifti_form=options.nifti_form)
    memory = plan_memory(header.grid, header.dtype.itemsize, analysis.card)
    findings = analysis.findings_card and findings_stage.load_beside(analysis.findings_card, options)
    predictor = work.predictor or _loading(analysis, memory)
    return replace(analysis, memory=memory, predictor=predictor, findings_model=findings)


def _loading(analysis: Analysis, memory: MemoryPlan) -> Predictor:
    from medfm_core import segmenter_choice

    options = analysis.options
    return segmenter_choice.loading_predictor(
        analysis.card,
        options.device,
        deterministic=options.deterministic,
        tile=memory.tile,
        threads=options.threads or read_settings().threads,
    )


def _read(analysis: Analysis, work: Work) -> Analysis:
    options = analysis.options
    volume = read_volume(work.source, series=options.series, nifti_form=options.nifti_form)
    digest = voxel_hash(volume)
    if options.hu_offset:
        volume = _add(volume, options.hu_offset)
    return replace(analysis, image=volume, voxels_sha256=digest)


def _check(analysis: Analysis, work: Work) -> Analysis:
    read = tuple(Caution("reading", sentence) for sentence in analysis.image.meta.get("warnings", ()))
    cautions = check_image(analysis.image)
    for caution in cautions:
        if caution.blocks and not analysis.options.force:
            raise ModalityError(caution.sentence, f"{caution.fix}, or --force to use it as it is")
    return replace(analysis, cautions=(*cautions, *read))


def _segment(analysis: Analysis, work: Work) -> Analysis:
    image = clamp_air(replace(analysis.image, modality="CT"))
    found = analysis.predictor(image, work.progress)
    kept = keep_organs(analysis.options.organs, found.covered)
    if kept != found.covered:
        found = replace(found, labels=_keep(found.labels, kept), covered=kept)
    cautions = tuple(Caution("segmentation", sentence) for sentence in found.warnings)
    return replace(analysis, segmentation=found, predictor=None, cautions=analysis.cautions + cautions)


def _measure(analysis: Analysis, work: Work) -> Analysis:
    statistics = label_statistics(analysis.image, analysis.segmentation.labels)
    measurements = measure(analysis.image, analysis.segmentation, statistics)
    cautions = analysis.cautions + check_result(measurements)
    return replace(analysis, statistics=statistics, measurements=measurements, cautions=cautions)


def _write(analysis: Analysis, work: Work) -> Analysis:
    """Write the results; the label map is packed while the report is drawn."""
    with ThreadPoolExecutor(1, "writing") as beside:
        label_map = beside.submit(_write_labels, analysis.segmentation, work.folder / SEGMENTATION)
        atomic_text(work.folder / LABELS, report.labels_json(analysis))
        atomic_text(work.folder / MEASUREMENTS, report.measurements_csv(analysis.measurements))
        atomic_text(work.folder / REPORT, report.render_html(analysis, machine_facts()))
        findings_stage.write(analysis, work.folder)
        label_map.result()
    return analysis


STAGES = (
    Stage("plan", "Plan the memory", _plan),
    Stage("read", "Read the image", _read),
    Stage("check", "Check the image", _check),
    Stage("segment", "Outline the organs", _segment),
    Stage("measure", "Measure", _measure),
    Stage("write", "Write the results", _write),
)
FINDINGS_STAGES = (
    Stage("encode", "Encode the organs", findings_stage.encode),
    Stage("findings", "Score the findings", findings_stage.assess),
    Stage("saliency", "Explain the findings", saliency_stage.explain),
)
BODY_STAGES = (Stage("body", "Embed the whole body", body_stage.embed),)  # after the organs are encoded


def _write_labels(segmentation: Segmentation, path: Path) -> None:
    organs = [load_vocabulary().by_name(name) for name in segmentation.covered]
    names = {organ.id: organ.name for organ in organs}
    write_labels(segmentation.labels, path, names, {organ.id: organ.colour for organ in organs})


def _keep(labels: Volume, names: Sequence[str]) -> Volume:
    table = np.zeros(256, labels.voxels.dtype)
    ids = [load_vocabulary().by_name(name).id for name in names]
    table[ids] = ids
    return labels.with_voxels(table[labels.voxels], Kind.LABEL)


def _add(volume: Volume, offset: float) -> Volume:
    ends = float(volume.voxels.min()) + offset, float(volume.voxels.max()) + offset
    fits = float(offset).is_integer() and ends[0] >= -32768 and ends[1] <= 32767
    dtype = np.int16 if fits and volume.voxels.dtype.kind in "iu" else np.float32
    return volume.with_voxels((volume.voxels.astype(np.float32) + np.float32(offset)).astype(dtype, copy=False))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
