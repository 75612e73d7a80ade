"""How the panels of a run are drawn: quiet axes, the latest value beside each name, alarms as red lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from training.engine.monitors.alarms import ALARM_NAMES
from training.engine.monitors.panels import Panel
from training.engine.monitors.words import number, share

INK, SOFT, LINE, RED, GREEN = "#1b2330", "#5c6675", "#dfe3e9", "#b3293a", "#2f8f5b"
# Told apart by colour-blind readers too.
_COLOURS = ("#1f5f99", "#d9822b", "#2f8f5b", "#b0476e", "#7a5fb5", "#3aa5b8", "#8a6d3b", "#5c6675")
_LOG_FROM_RATIO = 30.0
_SMOOTH_FROM_ROWS = 20
_LETTERS_PER_INCH = 14
Series = tuple[np.ndarray, np.ndarray]


def draw_panel(axes: Any, panel: Panel, series: dict[str, Series]) -> None:
    """Draw one panel.

    Args:
        axes: matplotlib axes, in a figure whose size is set.
        panel: what to draw.
        series: steps and values of every column, `(rows,)` each.
    """
    colours = _colours(len(panel.columns))
    _style(axes)
    for column, colour in zip(panel.columns, colours, strict=True):
        _line(axes, *series[column], colour, panel.smooth, 1.6 if len(colours) <= len(_COLOURS) else 0.9)
    if panel.limit in series and np.isfinite(series[panel.limit][1]).any():
        limit = float(np.nanmax(series[panel.limit][1]))
        _level(axes, limit, f"most possible: {number(limit)}")
    if panel.chance is not None:
        _level(axes, panel.chance, "chance")
    _scale(axes, panel, [series[column] for column in panel.columns])
    if panel.aim is not None:
        _aim(axes, panel.aim)
    _head(axes, panel, series, colours)
    if panel.name == "loss":
        _alarms(axes, series, tuple(ALARM_NAMES))
    elif panel.name in ("rank", "similarity"):
        _alarms(axes, series, ("collapse",))
    _same_steps(axes, series)


def _colours(count: int) -> list[str]:
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](0.92 * i / (count - 1))) for i in range(count)]


def _style(axes: Any) -> None:
    axes.set_facecolor("white")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelsize=8.5, length=0)


def _line(axes: Any, steps: np.ndarray, values: np.ndarray, colour: str, smooth: bool, width: float) -> None:
    finite = np.isfinite(values)
    x, y = steps[finite], values[finite]
    if not smooth or len(y) < _SMOOTH_FROM_ROWS:
        marker = "o" if len(y) < 40 else ""
        axes.plot(x, y, color=colour, linewidth=width, marker=marker, markersize=3)
        return
    axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.3)
    # The median first: one wild row shall not become a hill.
    y = gaussian_filter1d(median_filter(y, 5, mode="nearest"), max(1.0, len(y) / 120), mode="nearest")
    axes.plot(x, y, color=colour, linewidth=width + 0.3)


def _level(axes: Any, value: float, name: str) -> None:
    axes.axhline(value, color=SOFT, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(name, (1, value), (-2, 3), ha="right", fontsize=8, color=SOFT, **place)


def _aim(axes: Any, aim: tuple[float, float]) -> None:
    low, high = axes.get_ylim()
    axes.axhspan(*aim, color=GREEN, alpha=0.09, lw=0, zorder=0)
    axes.set_ylim(low, high)
    bottom = max(aim[0], low)
    if bottom < high:
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate("aim", (1, bottom), (-3, 3), ha="right", fontsize=8, color=GREEN, **place)


def _scale(axes: Any, panel: Panel, lines: list[Series]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    values = np.concatenate([values[np.isfinite(values)] for _, values in lines])
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %" if panel.scale == "share" else _tick(y)))
    if _is_wide(panel, values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _tick(y)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        return
    if panel.scale == "share":
        axes.set_ylim(0, max(0.05, min(1.0, 1.25 * float(values.max(initial=0.0)))))
    elif panel.scale == "score":
        lowest = min(0.0 if panel.chance is None else panel.chance, float(values.min(initial=1.0)))
        axes.set_ylim(max(-1.0, lowest) - 0.05, 1.05)
    elif panel.scale == "linear":
        _, drawn_top = axes.get_ylim()
        axes.set_ylim(min(0.0, float(values.min(initial=0.0))), 1.1 * drawn_top)
    elif len(values):
        _without_outliers(axes, values)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _is_wide(panel: Panel, values: np.ndarray) -> bool:
    """Whether the values ask for a logarithmic axis; one wild step shall not decide."""
    if len(values) == 0 or not bool((values > 0).all()) or panel.scale not in ("log", "auto"):
        return False
    return panel.scale == "log" or bool(np.quantile(values, 0.98) > _LOG_FROM_RATIO * np.quantile(values, 0.02))


def _tick(value: float) -> str:
    return number(float(f"{value:.6g}"))


def _without_outliers(axes: Any, values: np.ndarray) -> None:
    """Let single wild values run out of the picture, and say how far."""
    low, high = np.quantile(values, [0.005, 0.985])
    if high > low and values.max() > high + 1.5 * (high - low):
        axes.set_ylim(low - 0.08 * (high - low), high + 0.25 * (high - low))
        place = {"xycoords": "axes fraction", "textcoords": "offset points"}
        text = f"up to {number(float(values.max()))}"
        axes.annotate(text, (1, 1), (-2, -3), ha="right", va="top", fontsize=8, color=SOFT, **place)


def _head(axes: Any, panel: Panel, series: dict[str, Series], colours: list[str]) -> None:
    """Write the title and, under it, each line's name and latest value in its colour."""
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea, VPacker
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure()
    width = axes.get_position().width * figure.get_figwidth() * _LETTERS_PER_INCH
    rows = _wrap(_latest(panel, series, colours), width)
    lines = [
        HPacker(children=[TextArea(text, textprops={"color": c, "fontsize": 9}) for text, c in row], pad=0, sep=10)
        for row in rows
    ]
    title = TextArea(panel.title, textprops={"color": INK, "fontsize": 11, "fontweight": "bold"})
    lifted = axes.transAxes + ScaledTranslation(0, 5 / 72, figure.dpi_scale_trans)
    axes.add_artist(
        AnchoredOffsetbox(
            "lower left", child=VPacker(children=[title, *lines], pad=0, sep=4), pad=0, borderpad=0, frameon=False,
            bbox_to_anchor=(0, 1), bbox_transform=lifted,
        )
    )  # fmt: skip


def _latest(panel: Panel, series: dict[str, Series], colours: list[str]) -> list[tuple[str, str]]:
    latest = [float(series[column][1][-1]) for column in panel.columns]
    if len(latest) > len(_COLOURS):
        finite = [value for value in latest if np.isfinite(value)] or [float("nan")]
        return [(f"{len(latest)} lines, {number(min(finite))} to {number(max(finite))}", SOFT)]
    shown = [share(value) if panel.scale == "share" else number(value) for value in latest]
    if len(shown) == 1 and not panel.columns[0].startswith("probe/"):
        return [(shown[0], colours[0])]
    return [(f"{name} {text}", c) for name, text, c in zip(panel.labels, shown, colours, strict=True)]


def _wrap(texts: list[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    """Cut coloured texts into rows of at most `width` letters, and at most two rows."""
    rows: list[list[tuple[str, str]]] = [[]]
    for text in texts:
        if rows[-1] and len(rows) < 2 and sum(len(t) + 2 for t, _ in rows[-1]) + len(text[0]) > width:
            rows.append([])
        rows[-1].append(text)
    return rows


def _alarms(axes: Any, series: dict[str, Series], kinds: tuple[str, ...]) -> None:
    """Mark where alarms were raised; the first of each kind with its name."""
    place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    shown = [kind for kind in kinds if f"alarm/{kind}" in series]
    for line, kind in enumerate(shown):
        steps, raised = series[f"alarm/{kind}"]
        for number_, step in enumerate(steps[raised > 0][:20]):
            axes.axvline(step, color=RED, linewidth=1, alpha=0.5)
            if number_ == 0:
                offset = (4, -4 - 11 * line)
                axes.annotate(ALARM_NAMES[kind], (step, 1), offset, va="top", fontsize=8, color=RED, **place)


def _same_steps(axes: Any, series: dict[str, Series]) -> None:
    """Let all panels span the same steps."""
    first, last = min(steps[0] for steps, _ in series.values()), max(steps[-1] for steps, _ in series.values())
    margin = max((last - first) * 0.01, 0.5)
    axes.set_xlim(first - margin, last + margin)
