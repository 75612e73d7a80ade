"""The state of a run as a list of facts."""

from __future__ import annotations

import math
from typing import Any

from training.engine.monitors.alarms import ALARM_NAMES
from training.engine.monitors.drawing import GREEN, INK, RED, SOFT
from training.engine.monitors.words import duration, number, share
from training.engine.monitors.writers import Rows

_MOST_ALARMS = 4


def run_facts(rows: Rows) -> list[tuple[str, str]]:
    """Name and value of each fact that the log holds, alarms apart."""
    latest: dict[str, float] = {}
    for row in rows.values():
        latest.update(row)
    facts = [("step", f"{max(rows):,}")]
    if "seconds" in latest:
        facts += [("time", duration(latest["seconds"])), ("samples seen", f"{int(latest.get('samples', 0)):,}")]
    losses = {step: row["loss"] for step, row in rows.items() if math.isfinite(row.get("loss", math.nan))}
    if losses:
        best = min(losses, key=losses.__getitem__)
        facts += [("loss", number(latest["loss"])), ("lowest loss", f"{number(losses[best])} at step {best:,}")]
    if "samples_per_second" in latest:
        tokens = latest.get("tokens_per_second")
        more = f", {number(tokens)} tokens/s" if tokens else ""
        facts.append(("speed", f"{number(latest['samples_per_second'])} samples/s{more}"))
        facts.append(("waiting for data", f"{share(latest['data_wait'])} of the time"))
        facts.append(("MFU", f"{share(latest['mfu'])} of the peak" if "mfu" in latest else "not stated"))
    if "health/effective_rank" in latest:
        rank, limit = latest["health/effective_rank"], latest["health/limit"]
        facts.append(("effective rank", f"{number(rank)} of {number(limit)}"))
    return facts


def run_alarms(rows: Rows) -> list[str]:
    """One line per kind of alarm: how often, and when last."""
    raised: dict[str, list[int]] = {}
    for step, row in rows.items():
        for name in row:
            if name.startswith("alarm/") and row[name] > 0:
                raised.setdefault(name.split("/", 1)[1], []).append(step)
    return [
        f"{ALARM_NAMES.get(name, name)} at step {steps[-1]:,}" + (f", {len(steps)} times" if len(steps) > 1 else "")
        for name, steps in raised.items()
    ]


def draw_facts(axes: Any, rows: Rows) -> None:
    """Write the facts, then the alarms, as two columns that fill the axes from the top."""
    axes.set_axis_off()
    alarms = run_alarms(rows)
    lines = [(name, value, INK) for name, value in run_facts(rows)]
    lines += [("alarms" if place == 0 else "", text, RED) for place, text in enumerate(alarms[:_MOST_ALARMS])]
    lines += [] if alarms else [("alarms", "none", GREEN)]
    pitch = min(1 / len(lines), 0.095)
    for place, (name, value, colour) in enumerate(lines):
        height = 1 - place * pitch
        axes.text(0.0, height, name, fontsize=9.5, color=SOFT, va="top", transform=axes.transAxes)
        axes.text(0.35, height, value, fontsize=9.5, color=colour, va="top", transform=axes.transAxes)
