"""What the terminal shows of a run, as one line or as a view of several."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.engine.monitors.words import duration, number, share, sparkline

_SPARK_ROWS = 400
_SPARK_WIDTH = 40


@dataclass
class RunView:
    """What the terminal shows.

    Attributes:
        title: name of the run.
        about: one line on what runs where.
        step: steps done.
        steps: steps of the whole run.
        first_step: steps that were done when this process began.
        figures: latest values by column of the log.
        losses: the latest rows' losses.
        chances: chance levels of the probe's figures, by column.
        notes: what could not be stated, and why.
        alarms: latest alarms, with their step.
        active: whether an alarm holds still.
        begun: when this process began, in seconds of time.perf_counter.
    """

    title: str = "run"
    about: str = ""
    step: int = 0
    steps: int = 1
    first_step: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=_SPARK_ROWS))
    chances: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alarms: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=3))
    active: bool = False
    begun: float = field(default_factory=time.perf_counter)
    _first_row: tuple[int, float] | None = None

    def update(self, step: int, figures: Mapping[str, float]) -> None:
        """Take in a row of the log."""
        self.step = max(self.step, step)
        self.figures.update(figures)
        if "loss" in figures:
            self.losses.append(figures["loss"])
            if self._first_row is None and step > self.first_step:
                self._first_row = (step, time.perf_counter())

    @property
    def remaining_s(self) -> float | None:
        """Seconds to go at the pace since the first row, which itself holds the slow first steps; pauses count too."""
        since_step, since = self._first_row or (self.first_step, self.begun)
        done = self.step - since_step
        return None if done <= 0 else (time.perf_counter() - since) / done * (self.steps - self.step)


def line_of(view: RunView) -> str:
    """The latest figures in one line."""
    figures = view.figures
    parts = [f"step {view.step:,}/{view.steps:,} ({share(view.step / max(view.steps, 1))})"]
    parts += [f"{name} {number(figures[name])}" for name in ("loss", "lr") if name in figures]
    if "grad_norm" in figures:
        parts.append(f"gradient {number(figures['grad_norm'])}")
    parts += _speed(figures)
    if "health/effective_rank" in figures:
        parts.append(f"rank {number(figures['health/effective_rank'])}/{number(figures['health/limit'])}")
    parts += [f"{name.split('/', 1)[1].replace('/', ' ')} {number(figures[name])}" for name in _probes(figures)]
    if view.remaining_s is not None:
        parts.append(f"{duration(view.remaining_s)} to go")
    return " | ".join(parts)


def make_view(view: RunView, ascii_only: bool = False, width: int = 100) -> Any:
    """Draw the view, `width` letters wide, as something that rich can print."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 2))
    left = "" if view.remaining_s is None else f"{duration(view.remaining_s)} to go"
    bar.add_row(
        ProgressBar(total=max(view.steps, 1), completed=view.step, width=_SPARK_WIDTH),
        share(view.step / max(view.steps, 1)), f"step {view.step:,} of {view.steps:,}", Text(left, style="dim"),
    )  # fmt: skip
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, text in _view_rows(view, ascii_only):
        table.add_row(name, text)
    parts: list[Any] = [bar, Text(), table]
    for step, text in view.alarms:
        parts += [Text(f"! step {step:,}: {text}", style="bold red" if view.active else "red")]
    parts += [Text(note, style="dim") for note in view.notes]
    return Panel(
        Group(*parts), title=Text(view.title, style="bold"), title_align="left", subtitle=Text(view.about, style="dim"),
        subtitle_align="left", border_style="red" if view.active else "blue", padding=(0, 1),
        box=box.ASCII if ascii_only else box.ROUNDED, width=width,
    )  # fmt: skip


def _view_rows(view: RunView, ascii_only: bool) -> list[tuple[str, Any]]:
    from rich.text import Text

    figures, rows = view.figures, []
    if view.losses:
        spark = Text(sparkline(list(view.losses), _SPARK_WIDTH, ascii_only), style="blue")
        rows.append(("loss", Text.assemble((f"{number(figures.get('loss', float('nan'))):<9}", "bold"), spark)))
    pace = [number(figures["lr"])] if "lr" in figures else []
    if "grad_norm" in figures:
        pace.append(f"gradient norm {number(figures['grad_norm'])}")
    if pace:
        rows.append(("learning rate", Text("   ".join(pace))))
    if _speed(figures):
        rows.append(("speed", Text("   ".join(_speed(figures)))))
    if "health/effective_rank" in figures:
        health = f"effective rank {number(figures['health/effective_rank'])} of {number(figures['health/limit'])}"
        cosine = f"mean cosine {figures['health/mean_cosine']:.3f}"
        dead = f"dead features {share(figures['health/dead_share'])}"
        rows.append(("representation", Text(f"{health}   {cosine}   {dead}")))
    for place, name in enumerate(_probes(figures)):
        chance = f"   (chance {number(view.chances[name])})" if name in view.chances else ""
        text = f"{name.split('/', 1)[1].replace('/', ' '):<24} {number(figures[name])}{chance}"
        rows.append(("linear probe" if place == 0 else "", Text(text)))
    return rows


def _speed(figures: Mapping[str, float]) -> list[str]:
    parts = []
    if "samples_per_second" in figures:
        parts.append(f"{number(figures['samples_per_second'])} samples/s")
    if "tokens_per_second" in figures:
        parts.append(f"{number(figures['tokens_per_second'])} tokens/s")
    if "data_wait" in figures:
        parts.append(f"{share(figures['data_wait'])} waiting for data")
    if "mfu" in figures:
        parts.append(f"MFU {share(figures['mfu'])}")
    return parts


def _probes(figures: Mapping[str, float]) -> list[str]:
    """Columns of the probe to show: one per target, at most six."""
    return [name for name in figures if name.startswith("probe/") and name.endswith(("/auroc", "/r2"))][:6]
