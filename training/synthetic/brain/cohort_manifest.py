"""A cohort's `manifest.csv`: one row per scan, with what is true of the head as targets for probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.synthetic.physique import stream

BASE = ("subject", "study", "path", "modality", "sequence", "split")
TARGETS = (
    "lesion", "kind", "side", "lesion_ml", "ms", "stroke", "tumour", "white_matter_ml", "atrophy", "ventricles_ml",
    "brain_ml", "hippocampi_ml", "age", "sex", "sequence",
)  # fmt: skip
INFO = ("variety", "anatomy", "stripped", "lesions", "labels")
MANIFEST_COLUMNS = (*BASE, *(f"target.{name}" for name in TARGETS), *(f"info.{name}" for name in INFO))
_SPLITS = (("train", 0.8), ("val", 0.9), ("test", 1.0))


def manifest_rows(name: str, truth: Mapping[str, Any]) -> list[dict[str, object]]:
    """The rows of one head's scans.

    Args:
        name: of its folder, which is its subject.
        truth: of its `truth.json`.
    """
    draw = stream(int(truth["arguments"]["seed"]), "split").random()
    split = next(split for split, limit in _SPLITS if draw < limit)
    kind, person = truth["kind"], truth["person"]
    targets = {
        "lesion": int(kind != "healthy"), "kind": kind, "side": truth["side"], "lesion_ml": truth["lesion_ml"],
        "ms": int(kind == "ms"), "stroke": int(kind.startswith("stroke")), "tumour": int(kind == "tumour"),
        "white_matter_ml": truth["white_matter_ml"], "atrophy": round(person["atrophy"], 3),
        "ventricles_ml": truth["ventricles_ml"], "brain_ml": truth["brain_ml"],
        "hippocampi_ml": truth["hippocampi_ml"], "age": round(person["age"], 1), "sex": person["sex"],
    }  # fmt: skip
    info = {
        "variety": truth["variety"], "anatomy": truth["anatomy"],
        "stripped": "yes" if truth["arguments"]["stripped"] else "no",
        "lesions": f"{name}/lesions.nii.gz", "labels": f"{name}/labels.nii.gz",
    }  # fmt: skip
    rows = []
    for sequence in truth["arguments"]["sequences"]:
        row: dict[str, object] = {
            "subject": name, "study": "mr", "path": f"{name}/{sequence}.nii.gz", "modality": "MR",
            "sequence": sequence, "split": split, "target.sequence": sequence,
        }  # fmt: skip
        row |= {f"target.{key}": value for key, value in targets.items()}
        rows.append(row | {f"info.{key}": value for key, value in info.items()})
    return rows
