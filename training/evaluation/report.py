"""Results on paper: a table for the terminal and a JSON file, every figure with its interval or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medfm_core.io.atomic import atomic_text
from training.evaluation.bootstrap import Estimate
from training.evaluation.evaluate import Figure
from training.evaluation.metrics import LOWER_IS_BETTER, TITLES

SCHEMA = "medfm.evaluation.v1"


@dataclass(frozen=True)
class Row:
    """One model's line.

    Attributes:
        model: what it is, for the reader.
        figures: of it.
        shots: labelled examples per class that it learnt from; None for all.
        baseline: whether it is there to be beaten.
        details: whatever else the JSON should say of it, such as the seeds and the regularisation.
    """

    model: str
    figures: tuple[Figure, ...]
    shots: int | None = None
    baseline: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All lines of one evaluation.

    Attributes:
        title: what was judged on what.
        rows: models and baselines, all on the same items.
        differences: by how much one model is above another, by a line such as "probe minus random weights".
        details: whatever else the JSON should say: task, names, counts, how intervals were made, the encoder.
    """

    title: str
    rows: tuple[Row, ...]
    differences: tuple[Row, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def estimate_text(estimate: Estimate, digits: int = 3) -> str:
    """`0.812 [0.770, 0.850]`; without interval only the figure, without figure `none`."""
    if estimate.value is None:
        return "none"
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value, digits)
    return f"{_number(estimate.value, digits)} [{_number(estimate.low, digits)}, {_number(estimate.high, digits)}]"


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # not -0.000


def print_report(report: Report, console: Any = None) -> None:
    """Print a table of all figures, one of the few-shot figures, and below what is missing in them and why.

    Args:
        report: the results.
        console: of rich; standard output by default.
    """
    from rich.console import Console

    console = console or Console(highlight=False, markup=False)
    full = [row for row in report.rows if row.shots is None]
    few = [row for row in report.rows if row.shots is not None]
    tables = [_figures_table(report.title, full)] if full else []
    if report.differences:
        tables.append(_figures_table("Differences on the same test subjects", report.differences))
    tables += [
        _shots_table(metric, few, full) for metric in dict.fromkeys(f.metric for row in few for f in row.figures)
    ]
    for table in tables:
        console.print(table)
    for note in _notes((*report.rows, *report.differences)):
        console.print(f"  {note}", soft_wrap=True)


def plain(report: Report) -> dict[str, Any]:
    """The report as JSON can hold it: None for what does not exist, with a note beside it."""
    return {
        "schema": SCHEMA,
        "title": report.title,
        **report.details,
        "results": [_row(row) for row in report.rows],
        "differences": [_row(row) for row in report.differences],
    }


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON, whole or not at all."""
    atomic_text(path, json.dumps(plain(report), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def _figures_table(title: str, rows: Sequence[Row]) -> Any:
    """Figures below each other, models side by side."""
    table = _new_table(title, "figure", [row.model for row in rows])
    for metric in dict.fromkeys(figure.metric for row in rows for figure in row.figures):
        table.add_row(_title(metric), *(_cell(row, metric) for row in rows))
    return table


def _shots_table(metric: str, few: Sequence[Row], full: Sequence[Row]) -> Any:
    """Shots below each other, models side by side, and what all labels give below."""
    models = list(dict.fromkeys(row.model for row in few))
    table = _new_table(f"{_title(metric)} from few labels", "labels per class", models)
    for shots in sorted({row.shots for row in few}):
        found = {row.model: row for row in few if row.shots == shots}
        table.add_row(str(shots), *(_cell(found.get(model), metric) for model in models))
    found = {row.model: row for row in full}
    table.add_row("all", *(_cell(found.get(model), metric) for model in models))
    return table


def _new_table(title: str, first: str, models: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for model in models:
        table.add_column(model, justify="right", min_width=min(len(model), 16))
    return table


def _cell(row: Row | None, metric: str) -> str:
    figures = () if row is None else row.figures
    text = next((estimate_text(figure.mean) for figure in figures if figure.metric == metric), "")
    return text.replace(" [", "\n[")


def _title(metric: str) -> str:
    return TITLES[metric] + (" (low is good)" if metric in LOWER_IS_BETTER else "")


def _notes(rows: Sequence[Row]) -> list[str]:
    notes: dict[str, list[str]] = {}
    for row in rows:
        name = row.model if row.shots is None else f"{row.model}, {row.shots} shots"
        for figure in row.figures:
            if figure.mean.note:
                notes.setdefault(f"{TITLES[figure.metric]}: {figure.mean.note}", []).append(name)
    return [f"{note} ({'; '.join(names)})" for note, names in notes.items()]


def _row(row: Row) -> dict[str, Any]:
    return {
        "model": row.model,
        "shots": row.shots,
        "baseline": row.baseline,
        **row.details,
        "metrics": {figure.metric: _figure(figure) for figure in row.figures},
    }


def _figure(figure: Figure) -> dict[str, Any]:
    found = {**_estimate(figure.mean), "items": figure.items}
    if figure.per_seed:
        found["per_seed"] = list(figure.per_seed)
    if figure.parts:
        found["parts"] = {name: _estimate(part) for name, part in figure.parts.items()}
    return found


def _estimate(estimate: Estimate) -> dict[str, Any]:
    found: dict[str, Any] = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    if estimate.note:
        found["note"] = estimate.note
    return {**found, "subjects": estimate.subjects, "dropped_resamples": round(estimate.dropped, 4)}
