"""Which panels a run's log makes: the known figures first, then whatever else the run logged, grouped by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Not drawn as panels: counters, and figures that another panel shows.
_HIDDEN = {"seconds", "samples", "loss_max", "grad_norm_max", "tokens_per_second", "health/limit"}
_METRICS = {"auroc": ("AUROC", 0.5), "balanced_accuracy": ("balanced accuracy", None), "r2": ("R²", 0.0)}
# Where the values of a group should lie, by the project's own aims.
_AIMS = {"expert_load": (0.5, 2.0), "token_usage": (0.6, 1.0)}


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        name: file name without ending.
        title: for the reader.
        columns: columns of the log, one line each.
        labels: their names for the reader.
        scale: `linear`, `log`, `auto` (log where the values span much), `share` (0 to 1 as percent) or `score`
            (up to 1).
        smooth: draw a smooth line over the raw one.
        chance: level of a reader without information.
        limit: column of a dashed line that the others cannot pass.
        aim: range where the values should lie.
        overview: whether it has a place in overview.png.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    scale: str = "auto"
    smooth: bool = False
    chance: float | None = None
    limit: str | None = None
    aim: tuple[float, float] | None = None
    overview: bool = True


_KNOWN = (
    Panel("loss", "Loss", ("loss",), ("loss",), smooth=True),
    Panel("lr", "Learning rate", ("lr",), ("lr",), "linear"),
    Panel("grad_norm", "Gradient norm", ("grad_norm",), ("mean",), smooth=True),
    Panel("throughput", "Samples per second", ("samples_per_second",), ("samples/s",), "linear", smooth=True),
    Panel("step_time", "Step time, median (s)", ("step_seconds",), ("seconds",), "linear", smooth=True, overview=False),
    Panel("device", "Share of time and of peak", ("data_wait", "mfu"), ("waiting for data", "MFU"), "share"),
    Panel(
        "rank", "Rank of the representation", ("health/effective_rank", "health/participation_ratio"),
        ("effective rank", "participation ratio"), "linear", limit="health/limit",
    ),
    Panel(
        "similarity", "Sameness of the representation", ("health/mean_cosine", "health/dead_share"),
        ("mean cosine between samples", "dead features"), "score",
    ),
    Panel("spread", "Deviation of the features", ("health/std_mean", "health/std_min"), ("mean", "smallest")),
    Panel("condition", "Condition of the covariance", ("health/condition",), ("condition",), "log", overview=False),
)  # fmt: skip


def make_panels(columns: Iterable[str], chances: Mapping[str, float] | None = None) -> list[Panel]:
    """Choose the panels for the columns of a log.

    Columns `group/name` of one group share a panel with a line each; `probe/<target>/<metric>` make one per metric.

    Args:
        columns: names of the log's columns.
        chances: chance levels of the probe's columns, where they are not those of their metric.
    """
    columns = [name for name in columns if name not in _HIDDEN and not name.startswith("alarm/")]
    panels = [panel for known in _KNOWN if (panel := _only(known, columns)) is not None]
    panels += _probe_panels([name for name in columns if name.startswith("probe/")], chances or {})
    drawn = {name for panel in panels for name in panel.columns}
    groups: dict[str, list[str]] = {}
    for name in columns:
        if name not in drawn:
            groups.setdefault(name.rsplit("/", 1)[0] if "/" in name else name, []).append(name)
    return panels + [_group_panel(group, names) for group, names in groups.items()]


def _only(panel: Panel, columns: list[str]) -> Panel | None:
    """Keep those lines of a panel that the log has."""
    there = [i for i, name in enumerate(panel.columns) if name in columns]
    if not there:
        return None
    kept = {key: tuple(getattr(panel, key)[i] for i in there) for key in ("columns", "labels")}
    return Panel(**{**panel.__dict__, **kept})


def _probe_panels(columns: list[str], chances: Mapping[str, float]) -> list[Panel]:
    panels = []
    for metric, (title, chance) in _METRICS.items():
        names = [name for name in columns if name.endswith(f"/{metric}")]
        labels = tuple(name.split("/", 1)[1].rsplit("/", 1)[0] for name in names)
        if names:
            levels = {chances.get(name) for name in names}
            chance = levels.pop() if chance is None and len(levels) == 1 else chance
            panels.append(
                Panel(
                    f"probe_{metric}", f"Linear probe, {title}", tuple(names), labels, "score", chance=chance,
                    overview=metric != "balanced_accuracy",
                )
            )  # fmt: skip
    return panels


def _group_panel(group: str, names: list[str]) -> Panel:
    title = re.sub(r"\bema\b", "EMA", group.replace("_", " ").replace("/", ", "))
    labels = tuple(name.rsplit("/", 1)[-1].replace("_", " ") for name in names)
    file = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in group)
    aim = _AIMS.get(group.rsplit("/", 1)[-1])
    return Panel(f"extra_{file}", title[:1].upper() + title[1:], tuple(names), labels, smooth=len(names) == 1, aim=aim)
