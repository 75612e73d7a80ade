"""Measurements as CSV, and the manifest and the label names as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from medfm_core import RESEARCH_USE, __version__
from medfm_core.analysis import Analysis
from medfm_core.anatomy import Code, load_vocabulary
from medfm_core.measurements import OrganMeasurement, State

MANIFEST_SCHEMA = "medfm.analysis.v1"
LABELS_SCHEMA = "medfm.labels.v1"

_MODELS_AND_PLACES = ("series", "card_id", "findings_card", "body_card")  # options that may be paths

COLUMNS = (
    "id", "name", "title", "system", "state", "reason", "volume_ml", "mean_hu", "sd_hu", "median_hu",
    "left_right_mm", "front_back_mm", "head_foot_mm", "centre_r_mm", "centre_a_mm", "centre_s_mm", "voxels", "cut_by",
    "parts",
)  # fmt: skip


def measurements_csv(measurements: Iterable[OrganMeasurement]) -> str:
    """One line per structure; numbers with three decimals, empty where there is nothing to measure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for m in measurements:
        numbers = (
            m.volume_ml,
            m.mean_hu,
            m.sd_hu,
            m.median_hu,
            *(m.extent_mm or [None] * 3),
            *(m.centre_mm or [None] * 3),
        )
        row = (m.id, m.name, m.title, m.system, m.state.value, m.reason, *map(_number, numbers))
        writer.writerow((*row, m.voxels if m.is_seen else "", "; ".join(m.faces), " ".join(m.parts)))
    return stream.getvalue()


def labels_json(analysis: Analysis) -> str:
    """What each value of `segmentation.nii.gz` means: names, colours, SNOMED CT codes."""
    vocabulary = load_vocabulary()
    states = {m.name: m.state.value for m in analysis.measurements}
    entries = [
        {
            "id": organ.id,
            "name": organ.name,
            "title": organ.title,
            "state": states.get(organ.name),
            "colour": list(organ.colour),
            "code": _code(organ.code),
            "laterality": _code(organ.laterality),
            "region": _code(organ.region),
            "category": _code(organ.category),
            "parts": list(organ.parts),
        }
        for organ in map(vocabulary.by_name, analysis.segmentation.covered)
    ]
    return to_json(
        {"schema": LABELS_SCHEMA, "file": "segmentation.nii.gz", "model": analysis.card.id, "labels": entries}
    )


def manifest(analysis: Analysis, files: Mapping[str, str], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What was run, on what, with which result; nothing in it names the patient or a path.

    Args:
        analysis: a finished one.
        files: name of each written file and its sha256.
        machine: versions of the libraries, threads, peak memory.

    Returns:
        Plain data for `analysis.json`.
    """
    image, segmentation, card = analysis.image, analysis.segmentation, analysis.card
    return {
        "schema": MANIFEST_SCHEMA,
        "medfm": __version__,
        "notice": RESEARCH_USE,
        "created": analysis.created,
        "input": {
            "format": image.meta.get("format"),
            "modality": image.modality,
            "shape": list(image.shape),
            "spacing_mm": [round(s, 6) for s in image.spacing],
            "axis_codes": image.affine.codes,
            "affine_ras": image.affine.matrix.tolist(),
            "stored_as": str(image.meta.get("stored_dtype", image.voxels.dtype)),
            "voxels_sha256": analysis.voxels_sha256,
        },
        "options": {k: v for k, v in vars(analysis.options).items() if k not in _MODELS_AND_PLACES},
        "model": {
            "id": card.id,
            "card_sha256": card.digest,
            "licence": card.licence,
            "weights": [{"file": w.file, "sha256": card.sha256_of(w.role)} for w in card.weights],
            "covers": list(segmentation.covered),
        },
        "run": {
            "device": segmentation.device,
            "precision": segmentation.precision,
            "tile": list(analysis.memory.tile) if analysis.memory else None,
            "planned_memory_gb": round(analysis.memory.expected_bytes / 1e9, 2) if analysis.memory else None,
            "seconds": {name: round(value, 3) for name, value in analysis.seconds.items()},
            "network_seconds": {name: round(value, 3) for name, value in segmentation.seconds.items()},
            "inside_networks": {name: round(value, 3) for name, value in _inside_networks(analysis).items()},
            **machine,
        },
        "warnings": [{"code": c.code, "sentence": c.sentence} for c in analysis.cautions],
        "structures": {m.name: _structure(m) for m in analysis.measurements if m.state is not State.NOT_COVERED},
        "not_covered": [m.name for m in analysis.measurements if m.state is State.NOT_COVERED],
        "files": dict(files),
    }


def to_json(data: Any) -> str:
    """Indented JSON; NaN is refused."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _inside_networks(analysis: Analysis) -> dict[str, float]:
    """Seconds of each stage that were spent inside a network."""
    inside = {"segment": analysis.segmentation.seconds.get("network", 0.0)}
    if analysis.encoded is not None:
        inside["encode"] = analysis.encoded.network_seconds
        inside["saliency"] = sum(result.network_seconds for result in analysis.saliency)
    return inside


def _structure(m: OrganMeasurement) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": m.id, "state": m.state.value}
    if m.reason:
        entry["reason"] = m.reason
    if m.is_seen:
        entry |= {"volume_ml": round(m.volume_ml, 3), "voxels": m.voxels}
        entry |= {k: round(v, 2) for k in ("mean_hu", "sd_hu", "median_hu") if (v := getattr(m, k)) is not None}
        entry |= {
            "extent_mm": [round(v, 2) for v in m.extent_mm],
            "centre_ras_mm": [round(v, 2) for v in m.centre_mm],
            "box": [list(m.box[0]), list(m.box[1])],
        }
    if m.faces:
        entry |= {"cut_by": list(m.faces), "runs_on": m.runs_on}
    if m.parts:
        entry["parts"] = list(m.parts)
    return entry


def _code(code: Code | None) -> dict[str, str] | None:
    return None if code is None else {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
