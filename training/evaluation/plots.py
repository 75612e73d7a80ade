"""Results as a picture: figures with intervals below each other, and how they grow with the number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medfm_core.io.atomic import atomic_write
from training.evaluation.bootstrap import Estimate
from training.evaluation.metrics import LOWER_IS_BETTER, TITLES
from training.evaluation.report import Report, Row

_COLOURS = ("#0b5fa5", "#c2571a", "#2a7f3f", "#7a4fa3", "#7a7a7a")


def draw_report(report: Report, path: Path, metric: str) -> None:
    """Draw one figure of merit of all models, and its course over the shots where there are several.

    Args:
        report: the results.
        path: a .png file, made whole or not at all.
        metric: the figure to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    curve = any(row.shots is not None for row in report.rows)
    full = [row for row in report.rows if row.shots is None]
    picture = Picture(figsize=(11 if curve else 7, 1.6 + 0.45 * max(len(full), 4)), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots(1, 2 if curve else 1, squeeze=False)[0]
    _draw_lines(axes[0], full, metric)
    if curve:
        _draw_curve(axes[1], report.rows, metric)
    picture.suptitle(report.title, fontsize=10)
    with atomic_write(path) as temporary:
        picture.savefig(temporary, dpi=150, format="png")


def _draw_lines(axes: Any, rows: Sequence[Row], metric: str) -> None:
    for place, row in enumerate(rows):
        estimate = _estimate_of(row, metric)
        if estimate is None or estimate.value is None:
            axes.text(0.02, place, "not defined", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
            continue
        colour = _COLOURS[-1] if row.baseline else _COLOURS[0]
        axes.errorbar(estimate.value, place, xerr=_reach(estimate), fmt="o", color=colour, capsize=3)
        axes.annotate(f"{estimate.value:.3f}", (estimate.value, place), (0, 7), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(rows)), [row.model for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(_title(metric))
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.1)


def _draw_curve(axes: Any, rows: Sequence[Row], metric: str) -> None:
    models = list(dict.fromkeys(row.model for row in rows if row.shots is not None))
    shots = sorted({row.shots for row in rows if row.shots is not None})
    place = {count: number for number, count in enumerate([*shots, None])}
    for number, model in enumerate(models):
        found = [(place[row.shots], _estimate_of(row, metric)) for row in rows if row.model == model]
        points = sorted((x, estimate) for x, estimate in found if estimate is not None and estimate.value is not None)
        shift = 0.06 * (number - (len(models) - 1) / 2)
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot([x + shift for x, _ in points], [e.value for _, e in points], "o-", color=colour, label=model)
        for x, estimate in points:
            axes.errorbar(x + shift, estimate.value, yerr=_reach(estimate), color=colour, capsize=3, alpha=0.6)
    axes.set_xticks(list(place.values()), [str(count) for count in shots] + ["all"])
    axes.set_xlabel("labelled examples per class")
    axes.set_ylabel(_title(metric))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _estimate_of(row: Row, metric: str) -> Estimate | None:
    return next((figure.mean for figure in row.figures if figure.metric == metric), None)


def _reach(estimate: Estimate) -> list[list[float]] | None:
    if estimate.low is None or estimate.high is None:
        return None
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    return [[max(0.0, below)], [max(0.0, above)]]


def _title(metric: str) -> str:
    return TITLES[metric] + (", low is good" if metric in LOWER_IS_BETTER else "")
