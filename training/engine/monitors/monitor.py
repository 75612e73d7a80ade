"""What the loop tells of a run: one object that logs, warns, probes, draws and shows.

    with Monitor(folder, config, enabled=rank == 0) as monitor:
        monitor.begin(resumed_step, steps, RunDescription("my run", device, "bf16"))
        for step in range(resumed_step + 1, steps + 1):
            with monitor.counting():                          # counts the operations of the first step
                loss = ...; loss.backward()
            monitor.step(step, {"loss": loss}, lr, grad_norm, Work(samples, seconds, seconds_waiting, tokens))
            if monitor.wants_features(step):
                monitor.features(step, encode(fixed_samples), targets, subjects)

What is needed to go on after a stop is in log.csv, and the running means of an unfinished row in `state`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from medfm_core.io.atomic import atomic_text, write_error
from training.engine.monitors.alarms import Alarms
from training.engine.monitors.config import MonitorConfig
from training.engine.monitors.description import RunDescription
from training.engine.monitors.flops import NOT_COUNTED, FlopCount, counting_flops
from training.engine.monitors.health import measure_health
from training.engine.monitors.meters import AllReduce, Meters
from training.engine.monitors.peak import find_peak
from training.engine.monitors.pictures import Pictures
from training.engine.monitors.plots import read_chances
from training.engine.monitors.probe import probe
from training.engine.monitors.terminal import Terminal, make_terminal
from training.engine.monitors.throughput import Throughput, Work
from training.engine.monitors.view import RunView
from training.engine.monitors.writers import NO_TENSORBOARD, CsvWriter, TensorBoardWriter, make_tensorboard

__all__ = ["Monitor", "MonitorConfig", "RunDescription", "Work"]
logger = logging.getLogger(__name__)


class Monitor:
    """Watches one run.

    Args:
        folder: the run's folder: log.csv, probe.json, tensorboard/ and plots/ go there.
        config: what is watched, and how often.
        enabled: whether this process writes and shows (rank 0); the others only take part in the means.
        all_reduce: adds up a float64 tensor on the host over all processes and returns it; None for one process.

    Attributes:
        diverged: whether the latest row's mean loss or gradient norm (over all processes) was NaN or infinite; the same
            on all of them.
        flops: what the counted step computes.
    """

    def __init__(
        self,
        folder: str | Path,
        config: MonitorConfig | None = None,
        enabled: bool = True,
        all_reduce: AllReduce | None = None,
    ) -> None:
        self._folder, self._config, self._enabled = Path(folder), config or MonitorConfig(), enabled
        self._all_reduce = all_reduce
        self._meters, self._throughput = Meters(keep_largest=("loss", "grad_norm")), Throughput()
        self._alarms, self._view, self._terminal = Alarms(), RunView(), Terminal()
        self._csv: CsvWriter | None = None
        self._tensorboard: TensorBoardWriter | None = None
        self._run = RunDescription("run")
        self._seconds, self._samples = 0.0, 0
        self._pictures = Pictures(self._folder)
        self.diverged = False
        self.flops: FlopCount | None = None

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(
        self, resumed_step: int, steps: int, describe: RunDescription, state: Mapping[str, Any] | None = None
    ) -> None:
        """Open the logs, and take up an earlier part of the run.

        Args:
            resumed_step: steps that are done, 0 for a new run; later rows of the log are dropped.
            steps: steps of the whole run.
            describe: what runs where.
            state: of the monitor at `resumed_step`; without it, an unfinished row has only the steps from then on.

        Raises:
            InputError: the folder cannot be written, or its log.csv is no log.
            ResourceError: the disk is full.
        """
        self._run = describe
        self._view = RunView(describe.title, describe.text, resumed_step, steps, resumed_step)
        if state is not None:
            self._meters.load(state)
        if not self._enabled:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise write_error(problem, self._folder) from problem
        self._csv = CsvWriter(self._folder / "log.csv", resumed_step)
        self._take_up(self._csv.rows)
        if state is not None:
            self._seconds, self._samples = float(state["seconds"]), int(state["samples"])
        self._terminal = make_terminal(self._config.terminal)
        self._terminal.begin(self._view)
        if self._config.tensorboard:
            self._tensorboard = make_tensorboard(self._folder / "tensorboard", resumed_step)
            if self._tensorboard is None:
                self._say(NO_TENSORBOARD)
            else:
                self._tensorboard.text("run", f"{describe.title}: {describe.text}")

    @contextmanager
    def counting(self, times: int = 1) -> Iterator[None]:
        """Count the operations of a block once per process, forward and backward of one step; afterwards do nothing.

        Args:
            times: how often a step runs such a block, when it accumulates gradients.
        """
        if self.flops is not None or not (self._enabled and self._config.count_flops):
            yield
            return
        with counting_flops(times) as self.flops:
            yield
        peak = find_peak(self._run.device, self._run.precision, self._config.measure_peak)
        self._throughput.flops_per_step = self.flops.flops
        self._throughput.peak_flops_per_second = None if peak is None else peak.flops_per_second
        if self.flops.flops is None:
            self._say(f"MFU not stated: the operations of a step are {NOT_COUNTED}")
        elif peak is None:
            self._say(f"MFU not stated: the peak of {self._run.device} is not known")
        else:
            tera = f"{peak.flops_per_second / 1e12:.3g} TFLOP/s"
            self._say(f"MFU: {self.flops.text} of at most {tera} ({peak.source})")

    def step(
        self,
        step: int,
        scalars: Mapping[str, Tensor | float],
        lr: float,
        grad_norm: Tensor | float | None,
        work: Work,
    ) -> None:
        """Take in one step; every `log_every` steps, and at the last one, write a row. All processes call it.

        Args:
            step: steps done, this one included.
            scalars: `loss` and whatever else is to be logged; names `group/name` share a panel. Tensors stay on their
                device until the row is written. The same names on all processes.
            lr: learning rate.
            grad_norm: norm of the gradient before clipping.
            work: the step's samples and times.

        Raises:
            ResourceError: the disk is full.
        """
        self._meters.add(scalars)
        self._meters.add({"grad_norm": grad_norm})
        self._throughput.add(work)
        self._seconds += work.seconds
        self._samples += work.samples
        self._view.step = step
        if step % self._config.log_every == 0 or step == self._view.steps:
            self._flush(step, lr)
        self._terminal.tick(self._view)

    def wants_features(self, step: int) -> bool:
        """Whether `features` has something to do at a step; the same on all processes, so that all can encode."""
        return self.measures(step, "health")

    def measures(self, step: int, kind: Literal["health", "probe"]) -> bool:
        """Whether `features` measures one kind of figures at a step; a probe comes with the health."""
        probed = self._due(step, self._config.probe_every)
        return probed or (kind == "health" and self._due(step, self._config.health_every))

    def state(self) -> dict[str, Any]:
        """What the rows so far do not hold, as JSON can; `begin` takes it."""
        return {**self._meters.state(), "seconds": self._seconds, "samples": self._samples}

    def features(
        self,
        step: int,
        features: Tensor,
        targets: Mapping[str, Sequence[Any]] | None = None,
        subjects: Sequence[Any] | None = None,
        others: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Look at the representation of the monitor set; call it with step 0 too, to see where the run starts.

        Args:
            step: steps done.
            features: of the fixed monitor set, `(N, F)`, on any device.
            targets: what a probe shall read, see `training.engine.monitors.probe.probe`; None for no probe.
            subjects: whom each sample is of, `(N,)`; every sample is its own subject if not given.
            others: figures of the same samples that the objective has made itself.

        Returns:
            The figures by name, as in the log; none on a process that does not write.

        Raises:
            InputError: the shapes do not fit each other.
            ResourceError: the disk is full.
        """
        if not self._enabled:
            return {}
        figures: dict[str, float] = {}
        health = measure_health(features)
        if health is not None:
            figures = {f"health/{name}": value for name, value in health.figures().items()}
        else:
            figures = dict.fromkeys(("health/effective_rank", "health/mean_cosine", "health/limit"), float("nan"))
        if targets and health is not None and self._due(step, self._config.probe_every):
            figures |= self._probe(step, features, targets, subjects)
        figures |= others or {}
        self._write(step, figures)
        return figures

    def close(self) -> None:
        """Draw the plots and close all logs; steps after the last row are not logged."""
        if self._csv is None:
            return
        self._terminal.close(self._view)
        self._csv.close()
        self._csv, self._terminal = None, Terminal()
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None
        self._pictures.draw()

    def _take_up(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Bring counters, alarms and view to where the log ends."""
        for step, row in rows.items():
            self._alarms.check(row)
            self._view.update(step, row)
        self._view.step = self._view.first_step
        self._seconds = self._view.figures.get("seconds", 0.0)
        self._samples = int(self._view.figures.get("samples", 0))
        self._view.active = bool(self._alarms.active)
        self._view.chances = read_chances(self._folder)

    def _due(self, step: int, every: int) -> bool:
        return every > 0 and (step % every == 0 or step == self._view.steps)

    def _flush(self, step: int, lr: float) -> None:
        begun = time.perf_counter()
        means = self._meters.flush(self._all_reduce)  # the first that waits for the device: the steps end only here
        device_seconds = time.perf_counter() - begun
        self._seconds += device_seconds
        speed = self._throughput.flush(self._all_reduce, device_seconds)
        self.diverged = not all(np.isfinite(means.get(name, 0.0)) for name in ("loss", "grad_norm"))
        if not self._enabled:
            return
        row = {"seconds": self._seconds, "samples": self._samples, "loss": means.pop("loss", None), "lr": lr, **speed}
        self._write(step, {name: value for name, value in {**row, **means}.items() if value is not None})
        self._terminal.row(self._view)
        if self._due(step, self._config.plots_every) and step < self._view.steps:
            self._pictures.draw_if_cheap()

    def _write(self, step: int, figures: Mapping[str, float]) -> None:
        figures = dict(figures)
        for alarm in self._alarms.check(figures):
            figures[f"alarm/{alarm.name}"] = 1.0
            self._view.alarms.append((step, alarm.text))
            self._say(f"! step {step:,}: {alarm.text}", in_view=True)
        self._view.active = bool(self._alarms.active)
        self._view.update(step, figures)
        if self._csv is not None:
            self._csv.write(step, figures)
        if self._tensorboard is not None:
            self._tensorboard.write(step, figures)

    def _probe(
        self, step: int, features: Tensor, targets: Mapping[str, Sequence[Any]], subjects: Sequence[Any] | None
    ) -> dict[str, float]:
        whose = range(len(features)) if subjects is None else subjects
        try:
            results = probe(features.detach().cpu().double().numpy(), targets, whose)
        except ImportError:
            self._say("No linear probe: scikit-learn is not installed; to have it: pip install scikit-learn")
            return {}
        text = json.dumps({"step": step, "results": [asdict(result) for result in results]}, indent=1)
        atomic_text(self._folder / "probe.json", text + "\n")
        stated = [result for result in results if result.value is not None]
        self._view.chances = {f"probe/{r.target}/{r.metric}": float(r.chance or 0.0) for r in stated}
        return {f"probe/{result.target}/{result.metric}": float(result.value or 0.0) for result in stated}

    def _say(self, text: str, in_view: bool = False) -> None:
        """Tell the person at the terminal, or the log where there is none."""
        if self._config.terminal == "none":
            (logger.warning if in_view else logger.info)(text)
        else:
            self._terminal.say(text, in_view)
