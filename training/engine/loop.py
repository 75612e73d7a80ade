"""The one loop: every recipe is trained by it, and a run that was stopped goes on bit for bit.

Nothing that a step needs is remembered between steps but weights, averages and optimiser moments: data, masks,
schedules and dropout are functions of (seed, step, sample).
"""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.data import default_collate

from medfm_core.errors import InputError, MedFMError
from medfm_core.io.atomic import atomic_text
from training.engine.average import RunningAverage
from training.engine.best_metric import BestMetric
from training.engine.build import build_objective, build_source, check_batch, choose_bf16, run_files
from training.engine.checkpoint import RunState, load_checkpoint, save_checkpoint
from training.engine.config import Recipe
from training.engine.monitor_set import MonitorSet
from training.engine.monitors.monitor import Monitor, RunDescription, Work
from training.engine.optimisers import make_optimiser, set_step
from training.engine.order import Place, SamplesByPosition, batches_of, make_loader
from training.engine.processes import adder, largest, make_fabric, pick_device, to_device
from training.engine.retention import retain
from training.engine.runs import load_start, newest_state
from training.engine.stopping import StopRequest
from training.engine.windows import gather_windows, own_window

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: steps done, and the signal that stopped it before its end (None: it is complete)."""

    step: int
    stopped_by: int | None = None


class Training:
    """A run of a recipe in a folder.

    Args:
        recipe: what to train.
        folder: where checkpoints, log and plots go.
        resume: `auto` goes on from the newest checkpoint, `never` refuses a folder that has one.

    Raises:
        InputError: the folder holds a run of another recipe, or the parts do not fit together.
    """

    def __init__(self, recipe: Recipe, folder: Path, resume: str = "auto") -> None:
        self.recipe, self.folder = recipe, run_files(folder)
        self.checkpoints = run_files(folder / "checkpoints")
        run = recipe.run
        self.best = BestMetric(run.best, run.best_is, recipe.monitor)
        self._path, found = newest_state(folder, recipe, resume)
        self.objective = build_objective(recipe)
        self.source = build_source(recipe)
        self.samples = SamplesByPosition(self.source, self.objective, run.seed)
        check_batch(self.objective, self.samples)
        if found is None and run.start_from:
            load_start(self.objective, Path(run.start_from))
        device = pick_device(run)
        self.objective.to(device)
        bf16 = found.extra["bf16"] if found else choose_bf16(self.objective, self.samples, recipe, device)
        self.fabric = make_fabric(run, len(self.objective.turns), bf16)
        self.state = found or RunState(0, recipe.digest, recipe.plain, None, {"bf16": bf16})
        self.average = RunningAverage(self.objective, run.ema) if run.ema else None
        self._set_up()
        self.step = self._resume() if found else 0

    def run(self) -> Outcome:
        """Train to the recipe's last step, or until a signal asks to stop.

        Raises:
            ResourceError: the disk is full; the last checkpoint is whole.
        """
        run, place = self.recipe.run, self._place()
        if self.fabric.is_global_zero:
            atomic_text(self.folder / "recipe.yaml", yaml.safe_dump(self.recipe.plain, sort_keys=False))
        loader = make_loader(
            self.samples, place, (self.step, run.steps), run.workers, self.fabric.device.type == "cuda"
        )
        with StopRequest() as stop, self._monitor() as monitor:
            monitor.begin(self.step, run.steps, self._describe(), self._window.get("monitor"))
            self._count_flops(monitor)
            watched = self._watched()
            if self.step == 0:  # at any other step, the run looked before it was stopped
                self._look(monitor, watched)
            batches = batches_of(loader)
            while self.step < run.steps:
                self._one_step(batches, monitor)
                self._look(monitor, watched)
                asked = largest(self.fabric, stop.signal)
                planned = self._plans_checkpoint(monitor)
                if asked or planned:
                    self._save(monitor, planned)
                if asked:
                    return Outcome(self.step, stop.signal or asked)
        return Outcome(self.step)

    def _one_step(self, batches: Any, monitor: Monitor) -> None:
        run, step = self.recipe.run, self.step
        begun = time.perf_counter()
        parts = [to_device(self.fabric, next(batches)) for _ in range(run.accumulate)]
        waited = time.perf_counter() - begun
        self.objective.before_step(step, run.steps)
        logged: dict[str, Tensor] = {}
        lr, norm = 0.0, None
        for turn, optimiser in zip(self.objective.turns, self.optimisers, strict=True):
            lr = set_step(optimiser, self.recipe.optim, step, run.steps)
            logged |= self._accumulate(parts, turn)
            if self.recipe.optim.grad_clip > 0:
                clip = self.recipe.optim.grad_clip
                norm = self.fabric.clip_gradients(self.module, optimiser, max_norm=clip, error_if_nonfinite=False)
                norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # shared out under FSDP
            optimiser.step()
            optimiser.zero_grad()
        self.objective.after_step(step, run.steps)
        if self.average is not None:
            self.average.update(self.objective, step)
        self.step += 1
        self.best.add(logged, norm)
        tokens = sum(self.objective.tokens_of(part) for part in parts) * self.fabric.world_size
        work = Work(run.batch_size, time.perf_counter() - begun, waited, tokens)
        monitor.step(self.step, logged, lr, norm, work)

    def _accumulate(self, parts: list[dict[str, Tensor]], turn: str) -> dict[str, Tensor]:
        """Forward and backward of all parts of a batch; returns the means of what they log."""
        total: dict[str, Tensor] = {}
        for number, part in enumerate(parts):
            draw = (self.recipe.run.seed, self.step, self.fabric.global_rank, number, zlib.crc32(turn.encode()))
            torch.manual_seed(zlib.crc32(repr(draw).encode()))  # dropout, too, is a function of the place in the run
            is_last = number == len(parts) - 1
            with self.fabric.no_backward_sync(self.module, enabled=not is_last):
                values = self.module(part, turn)
                self.fabric.backward(values["loss"] / len(parts))
            for name, value in values.items():
                total[name] = total.get(name, 0) + value.detach() / len(parts)
        return total

    def _watched(self) -> MonitorSet:
        """The samples to watch.

        Raises:
            InputError: `run.best` is measured on them, and there are none.
        """
        run = self.recipe.run
        watched = MonitorSet(self.source, self.objective, run.monitor_samples, run.seed)
        if self.best.kind and not len(watched):
            raise InputError(
                f"run.best is {run.best}, but this objective has no representation, or run.monitor_samples is 0",
                "choose a quantity that the objective logs",
            )
        return watched

    def _look(self, monitor: Monitor, watched: MonitorSet) -> None:
        if len(watched) and monitor.wants_features(self.step):
            device = self.fabric.device
            figures = monitor.features(self.step, *watched.look(device), watched.figures(device))
            if self.fabric.is_global_zero:
                self.best.see(self.step, figures)

    def _plans_checkpoint(self, monitor: Monitor) -> bool:
        """Whether the recipe wants a checkpoint here: every so often, at the end, and where the metric is measured."""
        run = self.recipe.run
        measured = self.best.kind is not None and monitor.measures(self.step, self.best.kind)
        return measured or self.step % run.checkpoint_every == 0 or self.step == run.steps

    def _count_flops(self, monitor: Monitor) -> None:
        """Count the operations of a step on a pass that leaves nothing behind: counting may choose other kernels."""
        if not self.recipe.monitor.count_flops or self.step >= self.recipe.run.steps:
            return
        self.objective.before_step(self.step, self.recipe.run.steps)
        part = [self.samples[position] for position in self._place().positions(self.step)[0]]
        batch = to_device(self.fabric, default_collate(part))
        with monitor.counting(self.recipe.run.accumulate), self.fabric.autocast():
            for turn in self.objective.turns:
                self.objective(batch, turn)["loss"].backward()
        self.objective.zero_grad(set_to_none=True)

    def _set_up(self) -> None:
        """Share the modules among the processes; optimisers come last, since sharding replaces parameters."""
        self.module = torch.compile(self.objective) if self.recipe.run.compile else self.objective
        self.module = self.fabric.setup_module(self.module)
        if self.average is not None and self.recipe.run.strategy == "fsdp" and self.fabric.world_size > 1:
            self.fabric.setup_module(self.average.module)
        self._plain = [make_optimiser(self.objective, turn, self.recipe.optim) for turn in self.objective.turns]
        optimisers = self.fabric.setup_optimizers(*self._plain)
        self.optimisers = optimisers if isinstance(optimisers, tuple) else (optimisers,)
        self._window: Mapping[str, Any] = {}

    def _resume(self) -> int:
        state = load_checkpoint(self._path, self._modules(), self._named_optimisers(), self.recipe.digest)
        if windows := state.extra.get("windows"):
            self._window = own_window(windows, self.fabric.global_rank, self.fabric.world_size)
            self.best.load(self._window["best"])
        return state.step

    def _save(self, monitor: Monitor, planned: bool = True) -> None:
        """Write a checkpoint, all processes together, and let old ones go.

        Args:
            monitor: its running means are kept too, so that the log goes on as if nothing had been.
            planned: whether the metric's window ends here; it goes on where a signal asked for the checkpoint.
        """
        run = self.recipe.run
        loss, metric = self.best.flush(self.step, adder(self.fabric), keep=not planned)
        if not math.isfinite(loss):
            raise MedFMError(
                f"the loss is no longer a finite number at step {self.step}; the checkpoints before it are kept",
                "start anew with a lower optim.lr, a longer warm-up, or run.precision fp32",
            )
        windows = gather_windows({"monitor": monitor.state(), "best": self.best.state()})
        extra = {**self.state.extra, "windows": windows}
        state = RunState(self.step, self.recipe.digest, self.recipe.plain, metric, extra)
        save_checkpoint(self.checkpoints, self._modules(), self._named_optimisers(), state)
        if self.fabric.is_global_zero:
            retain(self.checkpoints, run.keep_last, run.keep_best, run.best_is)
        self.fabric.barrier()

    def _modules(self) -> dict[str, torch.nn.Module]:
        average = {"average": self.average.module} if self.average is not None else {}
        return {"model": self.objective, **average}

    def _named_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return dict(zip(self.objective.turns, self._plain, strict=True))

    def _place(self) -> Place:
        run = self.recipe.run
        return Place(run.batch_size, self.fabric.global_rank, self.fabric.world_size, run.accumulate)

    def _monitor(self) -> Monitor:
        return Monitor(self.folder, self.recipe.monitor, self.fabric.is_global_zero, adder(self.fabric))

    def _describe(self) -> RunDescription:
        parameters = sum(p.numel() for p in self.objective.parameters() if p.requires_grad)
        facts = {"parameters": f"{parameters:,}", "processes": str(self.fabric.world_size)}
        precision = "bf16" if self.state.extra["bf16"] else "fp32"
        return RunDescription(self.folder.name, self.fabric.device, precision, facts)


def train(recipe: Recipe, folder: Path, resume: str = "auto") -> Outcome:
    """Build and run a training; see `Training`."""
    try:
        return Training(recipe, folder, resume).run()
    except RuntimeError as problem:
        if "out of memory" in str(problem).lower():
            raise MedFMError(
                "the device has not enough memory for this recipe",
                "raise run.accumulate, set run.activation_checkpointing, or lower the batch or crop size",
            ) from problem
        raise
