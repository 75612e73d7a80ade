"""Pictures of a run from its log: one PNG per panel, and one overview."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_write, write_error
from training.engine.monitors.drawing import INK, LINE, SOFT, Series, draw_panel
from training.engine.monitors.facts import draw_facts
from training.engine.monitors.panels import Panel, make_panels
from training.engine.monitors.writers import Rows, read_log

_COLUMNS = 3
_MOST_IN_OVERVIEW = 21
_DPI = 110
_WIDTH_IN, _HEAD_IN, _TOP_IN, _LINE_IN, _GAP_IN = 15.0, 0.66, 3.3, 2.5, 0.16
_GROUND = "#f5f6f8"


def plot_run(folder: str | Path, out: str | Path | None = None, panels: bool = True) -> list[Path]:
    """Draw the log of a run.

    Args:
        folder: the run's folder, which holds log.csv.
        out: where the PNGs go; `folder/plots` by default, made if missing.
        panels: draw one PNG per panel too, not only overview.png.

    Returns:
        The files, overview.png first.

    Raises:
        InputError: there is no log, or nothing in it yet, or the place cannot be written.
    """
    folder = Path(folder)
    rows = read_log(folder / "log.csv")
    if not rows:
        raise InputError(f"the log of {folder} holds no step yet", "wait for the first line of the run")
    out = folder / "plots" if out is None else Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise write_error(problem, out) from problem
    series = {name: _series(rows, name) for name in dict.fromkeys(name for row in rows.values() for name in row)}
    chosen = make_panels(series, read_chances(folder))
    files = [_save(_overview(folder.resolve().name, rows, series, chosen), out / "overview.png")]
    if panels:
        files += [_save(_single(panel, series), out / f"{panel.name}.png") for panel in chosen]
    return files


def read_chances(folder: Path) -> dict[str, float]:
    """Chance levels of the probe's columns, from the run's latest probe.json; empty where there is none."""
    try:
        results = json.loads((folder / "probe.json").read_text(encoding="utf-8"))["results"]
        return {f"probe/{r['target']}/{r['metric']}": r["chance"] for r in results if r["chance"] is not None}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _series(rows: Rows, name: str) -> Series:
    steps = [step for step, row in rows.items() if name in row]
    return np.array(steps, dtype=np.float64), np.array([rows[int(step)][name] for step in steps])


def _overview(title: str, rows: Rows, series: dict[str, Series], panels: list[Panel]) -> Any:
    """Draw the page: loss and facts on top, the other panels below in three columns."""
    from matplotlib.figure import Figure

    loss = [panel for panel in panels if panel.name == "loss"]
    others = [panel for panel in panels if panel.overview and panel not in loss]
    shown, hidden = others[:_MOST_IN_OVERVIEW], others[_MOST_IN_OVERVIEW:]
    height = _HEAD_IN + _TOP_IN + _LINE_IN * -(-len(shown) // _COLUMNS) + _GAP_IN
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI, facecolor=_GROUND)
    figure.text(2 * _GAP_IN / _WIDTH_IN, 1 - 0.36 / height, title, fontsize=17, weight="bold", color=INK, va="center")
    for panel in loss:
        draw_panel(_card(figure, (0, _HEAD_IN), (2, _TOP_IN)), panel, series)
    draw_facts(_card(figure, (2, _HEAD_IN), (1, _TOP_IN), (0.3, 0.28)), rows)
    for number, panel in enumerate(shown):
        line, column = divmod(number, _COLUMNS)
        draw_panel(_card(figure, (column, _HEAD_IN + _TOP_IN + line * _LINE_IN), (1, _LINE_IN)), panel, series)
    note = "horizontal axes: steps"
    if hidden:
        note = f"{len(hidden)} more panels have files of their own; {note}"
    figure.text(1 - 2 * _GAP_IN / _WIDTH_IN, 1 - 0.36 / height, note, fontsize=9, color=SOFT, va="center", ha="right")
    return figure


def _card(
    figure: Any, place: tuple[int, float], size: tuple[int, float], inset: tuple[float, float] = (0.62, 0.68)
) -> Any:
    """Lay a white card and return axes on it.

    Args:
        figure: the page.
        place: column, and distance from the top of the page in inches.
        size: columns, and height in inches.
        inset: of the axes from the left and the top edge of the card, in inches.
    """
    from matplotlib.patches import FancyBboxPatch

    width, height = figure.get_size_inches()
    pitch = (width - _GAP_IN) / _COLUMNS
    left, top = _GAP_IN + place[0] * pitch, height - place[1]
    card_width, card_height = size[0] * pitch - _GAP_IN, size[1] - _GAP_IN
    inches = figure.dpi_scale_trans
    box = FancyBboxPatch(
        (left + 0.08, top - card_height + 0.08), card_width - 0.16, card_height - 0.16,
        boxstyle="round,pad=0.08,rounding_size=0.1", facecolor="white", edgecolor=LINE, linewidth=1, transform=inches,
    )  # fmt: skip
    figure.add_artist(box)
    inner = (left + inset[0], top - card_height + 0.36, card_width - inset[0] - 0.22, card_height - 0.36 - inset[1])
    axes = figure.add_axes((inner[0] / width, inner[1] / height, inner[2] / width, inner[3] / height), facecolor="none")
    axes.set_zorder(1)
    return axes


def _single(panel: Panel, series: dict[str, Series]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0.085, 0.13, 0.89, 0.69))
    draw_panel(axes, panel, series)
    axes.set_xlabel("step", fontsize=9, color=SOFT)
    return figure


def _save(figure: Any, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path
