"""The files of a brain analysis: vectors, maps on each scan's own grid, tables, report, manifest."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core import RESEARCH_USE, __version__
from medfm_core.brain_encoding import BlockRouting
from medfm_core.brain_maps import expert_colours, expert_shares, heat_on_scan, routing_on_scan, tissue_patches
from medfm_core.brain_study import BrainScan, BrainStudy
from medfm_core.embedding_files import INDEX, VECTORS, write_embeddings
from medfm_core.guards import machine_facts
from medfm_core.io import atomic_bytes, atomic_text, write_labels, write_scalar
from medfm_core.report.brain_figures import registration_figure
from medfm_core.report.brain_page import render_brain_page
from medfm_core.report.tables import to_json
from medfm_core.results_folder import MANIFEST

SCHEMA = "medfm.analysis.brain.v1"
REPORT, EXPERTS = "report.html", "experts.csv"


def write_results(study: BrainStudy, folder: Path) -> None:
    """Write all files of a study.

    Args:
        study: finished.
        folder: an existing folder.

    Raises:
        InputError, ResourceError: a file cannot be written.
    """
    write_embeddings(study.embedding, folder)
    if study.has_experts:
        atomic_text(folder / EXPERTS, experts_csv(study))
    for scan in study.scans:
        _write_maps(scan, folder)
        if scan.standard.registration is not None:
            picture = registration_figure(scan.standard.image, study.plan.template)
            atomic_bytes(folder / f"registration_{scan.name}.png", picture)
    atomic_text(folder / REPORT, render_brain_page(study, machine_facts()))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    atomic_text(folder / MANIFEST, to_json(manifest(study, files)))


def files_of(study: BrainStudy) -> tuple[str, ...]:
    """Names of the files of a study, those of each scan left out."""
    return (REPORT, VECTORS, INDEX, *((EXPERTS,) if study.has_experts else ()), MANIFEST)


def routing_file(scan: BrainScan, routing: BlockRouting) -> str:
    """Name of the label map of one block; blocks count from 0, as in the model card."""
    return f"routing_{scan.name}_block{routing.block}.nii.gz"


def experts_csv(study: BrainStudy) -> str:
    """How many patches each expert serves, one line per scan, block and expert.

    `first` counts the patches for which it weighs most, `chosen` those that chose it at all; `brain_` counts patches
    that show the brain.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("scan", "block", "expert", "first", "chosen", "brain_first", "brain_share"))
    for scan in study.scans:
        tissue = tissue_patches(scan.encoded)
        for routing in scan.encoded.routing:
            first = np.bincount(routing.first, minlength=routing.experts)
            chosen = np.bincount(routing.chosen.ravel(), minlength=routing.experts)
            inside = np.bincount(routing.first[tissue], minlength=routing.experts)
            shares = expert_shares(routing, tissue)
            for expert in range(routing.experts):
                counts = (int(first[expert]), int(chosen[expert]), int(inside[expert]))
                writer.writerow((scan.name, routing.block, expert, *counts, f"{shares[expert]:.4f}"))
    return stream.getvalue()


def manifest(study: BrainStudy, files: dict[str, str]) -> dict[str, Any]:
    """What was run, on what, with which result; nothing in it names the patient or a path.

    Args:
        study: a finished one.
        files: name of each written file and its sha256.
    """
    card, plan = study.card, study.plan
    return {
        "schema": SCHEMA,
        "medfm": __version__,
        "notice": RESEARCH_USE,
        "created": study.created,
        "model": {
            "id": card.id, "card_sha256": card.digest, "licence": card.licence,
            "weights_sha256": study.encoder.weights_sha256, "width": study.encoder.width,
        },
        "prepared": {
            "stripped_by": None if plan.stripper is None else plan.stripper.tool,
            "template": plan.template_name or None,
        },
        "options": _options_entry(study),
        "scans": {scan.name: _scan_entry(scan) for scan in study.scans},
        "experts": _experts_entry(study),
        "run": {
            "device": study.device,
            "seconds": {name: round(value, 3) for name, value in study.seconds.items()},
            **machine_facts(),
        },
        "warnings": [{"code": c.code, "sentence": c.sentence} for c in study.cautions],
        "files": files,
    }  # fmt: skip


def _options_entry(study: BrainStudy) -> dict[str, Any]:
    """What makes another result, as far as it was asked for; a template by its name, for a path may name a person."""
    options = study.options
    return {
        "sequences": [scan.sequence for scan in study.scans],
        "nifti_form": options.nifti_form,
        "strip": options.strip,
        "register": options.register,
        "template": None if options.template is None else Path(options.template).name,
        "saliency": options.saliency,
    }


def _experts_entry(study: BrainStudy) -> dict[str, Any]:
    """How many experts a block has, and the colour of each in maps; value e + 1 of a routing map is expert e."""
    counts = [routing.experts for scan in study.scans for routing in scan.encoded.routing]
    count = max(counts, default=0)
    return {"count": count, "colours": [list(colour) for colour in expert_colours(count)]}


def _scan_entry(scan: BrainScan) -> dict[str, Any]:
    image, found = scan.image, scan.standard.registration
    entry: dict[str, Any] = {
        "sequence": scan.sequence,
        "format": image.meta.get("format"),
        "shape": list(image.shape),
        "spacing_mm": [round(mm, 6) for mm in image.spacing],
        "axis_codes": image.affine.codes,
        "affine_ras": image.affine.matrix.tolist(),
        "voxels_sha256": scan.voxels_sha256,
        "patches": list(scan.encoded.grid),
        "patches_of_brain": int(tissue_patches(scan.encoded).sum()),
    }
    if found is not None:
        entry["registration"] = {
            "template_to_scan_ras": found.to_scan.tolist(),
            "overlap": round(found.overlap, 4),
            "mutual_information": round(found.mutual_information, 4),
        }
    return entry


def _write_maps(scan: BrainScan, folder: Path) -> None:
    to_scan = scan.standard.to_scan
    if scan.heat is not None:
        heat = heat_on_scan(scan.encoded, scan.heat, scan.image, to_scan)
        write_scalar(heat, folder / f"saliency_{scan.name}.nii.gz")
    for routing in scan.encoded.routing:
        labels = routing_on_scan(scan.encoded, routing, scan.image, to_scan)
        names = {expert + 1: f"expert {expert}" for expert in range(routing.experts)}
        colours = dict(enumerate(expert_colours(routing.experts), start=1))
        write_labels(labels, folder / routing_file(scan, routing), names, colours)
