"""What makes a checkpoint best: the mean of a logged quantity since the last one, or a figure of the monitors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name
from training.engine.monitors.config import MonitorConfig
from training.engine.monitors.health import Health
from training.engine.monitors.meters import AllReduce, Meters

HEALTH = tuple(f"health.{field.name}" for field in fields(Health))
PROBE = ("probe.auroc", "probe.balanced_accuracy", "probe.r2")


class BestMetric:
    """Follows the quantity that `run.best` names.

    A quantity that the objective logs counts by its mean since the last checkpoint. `health.NAME`,
    `probe.TARGET.FIGURE` and `probe.FIGURE` (the mean over all targets that have it) are measured by the monitors at
    some steps only; a checkpoint of another step has no metric. Names may be written with dots or, as in the log, with
    slashes.

    Args:
        name: of the quantity.
        mode: `min` or `max`.
        config: how often the monitors measure.

    Attributes:
        kind: who measures it: `health`, `probe`, or None for the objective.

    Raises:
        InputError: the monitors have no such figure, never measure it, or the lowest would be called best where the
            highest is.
    """

    def __init__(self, name: str, mode: str, config: MonitorConfig) -> None:
        self.name = name.replace("/", ".")
        first = self.name.split(".")[0]
        self.kind: Literal["health", "probe"] | None = first if first in ("health", "probe") else None
        self._window = Meters()
        self._known = False
        self._seen: tuple[int, float | None] = (-1, None)
        if self.kind is not None:
            _check(self.name, mode, config)

    def add(self, logged: Mapping[str, Tensor], grad_norm: Tensor | None) -> None:
        """Take in what a step logs.

        Raises:
            InputError: the quantity is not among it.
        """
        if self.kind is not None:
            self._window.add({"loss": logged["loss"]})
            return
        given = {name.replace("/", "."): value for name, value in logged.items()} | {"grad_norm": grad_norm}
        if not self._known and given.get(self.name) is None:
            names = [name for name, value in given.items() if value is not None]
            _refuse(self.name, (*names, *HEALTH, *PROBE))
        self._known = True
        self._window.add({"loss": logged["loss"], "best": given.get(self.name)})

    def see(self, step: int, figures: Mapping[str, float]) -> None:
        """Take in what the monitors measured at a step.

        Raises:
            InputError: at step 0, the figure is not among it.
        """
        if self.kind is None:
            return
        value = _figure(self.name, figures)
        if value is None and step == 0 and not (self.kind == "probe" and not _measured(figures)):
            names = [name.replace("/", ".") for name in figures]
            names += [name for name in PROBE if _figure(name, figures) is not None]
            _refuse(self.name, names, "probe.json in the run's folder says what cannot be stated, and why")
        self._seen = (step, value if value is not None and math.isfinite(value) else None)

    def flush(self, step: int, all_reduce: AllReduce | None, keep: bool = False) -> tuple[float, float | None]:
        """The mean loss since the last checkpoint, and the metric; then begin anew. All processes call it.

        Args:
            step: steps done.
            all_reduce: see `Meters.flush`.
            keep: go on with the same window, for a checkpoint that comes early.
        """
        before = self.state()
        means = self._window.flush(all_reduce)
        if keep:
            self.load(before)
        if self.kind is None:
            return means["loss"], means.get("best")
        return means["loss"], self._seen[1] if self._seen[0] == step else None

    def state(self) -> dict[str, Any]:
        """The window as JSON can hold it."""
        return self._window.state()

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on with a window."""
        self._window.load(state)


def _check(name: str, mode: str, config: MonitorConfig) -> None:
    kind, last = name.split(".")[0], name.split(".")[-1]
    if (kind == "health" and name not in HEALTH) or (kind == "probe" and f"probe.{last}" not in PROBE):
        _refuse(name, (*HEALTH, *PROBE))
    if config.probe_every == 0 and (kind == "probe" or config.health_every == 0):
        raise InputError(f"run.best is {name}, which is never measured", f"set monitor.{kind}_every")
    if kind == "probe" and mode != "max":
        raise InputError(f"run.best is {name}, of which the highest is best", "set run.best_is to max")


def _measured(figures: Mapping[str, float]) -> bool:
    """Whether there was a representation to measure: features that are not finite have their own alarm."""
    return any(name.startswith("health/") and math.isfinite(value) for name, value in figures.items())


def _figure(name: str, figures: Mapping[str, float]) -> float | None:
    """A figure by its name with dots; `probe.auroc` is the mean over the targets."""
    dotted = {key.replace("/", "."): value for key, value in figures.items()}
    if name in dotted:
        return dotted[name]
    if name not in PROBE:
        return None
    ending = name.removeprefix("probe")
    found = [value for key, value in dotted.items() if key.startswith("probe.") and key.endswith(ending)]
    return sum(found) / len(found) if found else None


def _refuse(
    name: str, known: Sequence[str], fix: str = "choose a quantity of the log, or what the monitors measure"
) -> None:
    raise InputError(f"run.best: {unknown_name('quantity', name, list(dict.fromkeys(known)))}", fix)
