"""A table of encoders as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.io.atomic import atomic_text
from training.evaluation.bootstrap import Estimate
from training.evaluation.cohort import Cohort
from training.evaluation.describe import facts
from training.evaluation.encoder_table import (
    FEWEST_VALIDATION,
    FIGURES,
    QUARTERS,
    TableRow,
    TableStudy,
    has_validation,
)
from training.evaluation.metrics import TITLES
from training.evaluation.report import estimate_text

SCHEMA = "medfm.encoder_table.v2"


def write_table(
    rows: Sequence[TableRow],
    cohorts: Mapping[str, Cohort],
    study: TableStudy,
    about: Mapping[str, Any],
    path: Path,
) -> tuple[Path, Path]:
    """Write the table as `path` with the endings .md and .json.

    Args:
        rows: of the table.
        cohorts: by target.
        study: what was asked.
        about: whatever else the JSON should say, as JSON can hold it.
        path: without ending, in a folder that exists.

    Returns:
        Both files.
    """
    files = path.with_suffix(".md"), path.with_suffix(".json")
    atomic_text(files[0], page(rows, cohorts, study))
    data = {
        "schema": SCHEMA, **about, "shots": study.shots, "draws": study.draws,
        "targets": {name: facts(cohort, study.intervals) for name, cohort in cohorts.items()},
        "columns": {heading: list(names) for heading, names in study.columns_of(cohorts).items()},
        "results": [_plain(row) for row in rows],
    }  # fmt: skip
    atomic_text(files[1], json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return files


def page(rows: Sequence[TableRow], cohorts: Mapping[str, Cohort], study: TableStudy) -> str:
    """The table in Markdown, with how it is to be read above it."""
    asked = study.columns_of(cohorts)
    heads = [f"{name}, {TITLES[FIGURES[cohorts[names[0]].targets.task]]}" for name, names in asked.items()]
    columns = ["model", "labels", *heads, "mean above chance", f"{rows[0].entry.model} is better by"]
    lines = [_said(cohorts, study), "", _line(columns), _line(["---"] * len(columns))]
    for row in rows:
        labels = "all" if row.entry.shots is None else str(row.entry.shots)
        cells = [estimate_text(row.figures[name]) for name in asked]
        lead = "" if row.lead is None else _lead_text(row.lead)
        lines.append(_line([row.entry.model, labels, *cells, estimate_text(row.mean), lead]))
    notes = {note for row in rows for one in (*row.figures.values(), row.mean, row.lead) if one and (note := one.note)}
    return "\n".join([*lines, *(["", *sorted(notes)] if notes else [])]) + "\n"


def _said(cohorts: Mapping[str, Cohort], study: TableStudy) -> str:
    cohort = next(iter(cohorts.values()))
    train, val, test = (_count(cohort, split) for split in ("train", "val", "test"))
    learnt = f"trained on {train}, regularisation chosen on {val}"
    if not all(has_validation(one) for one in cohorts.values()):
        learnt = f"trained on {_count(cohort, 'train', 'val')}, regularisation chosen on inner folds of their subjects"
        if any(has_validation(one) for one in cohorts.values()):
            learnt += f" (where {FEWEST_VALIDATION} subjects of val are known, on those)"
    apart = any(len(names) > 1 for names in study.columns_of(cohorts).values())
    if apart:
        learnt += "; one probe for each sequence where a column's figure is their mean"
    each = "of each class are known" + (" to a probe" if apart else "")
    few = (
        f" With {study.shots} labels, {study.shots} scans {each}, of a quantity {study.shots} in all, as many from "
        f"each quarter of its range, drawn {study.draws} times, alike for all models; figures are means."
    )
    return (
        f"Linear probes on frozen vectors: {learnt}, judged scan by scan on {test} that were held out."
        f"{few if study.shots >= QUARTERS else ''} "
        f"In brackets {study.intervals.level:.0%} intervals over the test subjects. By chance an AUROC is 0.5 and a "
        "correlation 0; the mean is that of 2 AUROC - 1 and of the correlations. The last column is a difference of "
        "means on the same subjects, in bold where its interval excludes 0."
    )


def _count(cohort: Cohort, *splits: str) -> str:
    found = np.flatnonzero(np.isin(cohort.splits, splits))
    return f"{len(found)} scans of {len(set(cohort.subjects_of(found)))} subjects"


def _lead_text(lead: Estimate) -> str:
    text = estimate_text(lead)
    is_clear = lead.low is not None and lead.high is not None and (lead.low > 0 or lead.high < 0)
    return f"**{text}**" if is_clear else text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(row: TableRow) -> dict[str, Any]:
    lead = None if row.lead is None else asdict(row.lead)
    return {"model": row.entry.model, "labels": row.entry.shots or "all", **row.entry.details,
            "columns": {heading: asdict(figure) for heading, figure in row.figures.items()}, "others": row.others,
            "mean_above_chance": asdict(row.mean), "reference_minus_this": lead}  # fmt: skip
