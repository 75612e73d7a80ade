"""The training loop of the organ segmenter; every draw is a function of (seed, step, sample)."""

from __future__ import annotations

import copy
import csv
import math
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medfm_core.models.segmenter import OrganSegmenter
from medfm_core.preprocessing import to_channels
from medfm_core.progress import SILENT, Progress
from training.data.labelled_case import LabelledCase
from training.data.segmentation_augmentation import sample_patch
from training.objectives.segmentation import segmentation_loss
from training.precision import can_trust_bf16
from training.segmenter_checkpoint import load_state, save_state
from training.segmenter_recipe import Phase, SegmenterRecipe

_WARM_UP_STEPS = 40
_CHECKPOINT_EVERY = 100
_AHEAD = 3
Cases = Mapping[str, Sequence[LabelledCase]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Input channels `(B, C, D, H, W)` and classes `(B, D, H, W)` int64."""

    image: Tensor
    classes: Tensor


def phase_at(recipe: SegmenterRecipe, step: int) -> tuple[Phase, int]:
    """Find the phase of a step and the step's number within it."""
    for phase in recipe.phases:
        if step < phase.steps:
            return phase, step
        step -= phase.steps
    raise IndexError(step)


def learning_rate(phase: Phase, step: int) -> float:
    """Linear warm-up, then a cosine from `lr` to `lr * final`; a pure function of the step within the phase."""
    fall = phase.final + (1 - phase.final) * (1 + math.cos(math.pi * step / phase.steps)) / 2
    return phase.lr * fall * min(1.0, (step + 1) / _WARM_UP_STEPS)


def make_batch(recipe: SegmenterRecipe, cases: Cases, step: int) -> Batch:
    """Draw the batch of a step from the groups `real`, `pseudo` and `virtual`; groups without cases are passed over."""
    phase, _ = phase_at(recipe, step)
    shares = {"real": phase.real, "pseudo": phase.pseudo, "virtual": max(0.0, 1 - phase.real - phase.pseudo)}
    shares = {group: share for group, share in shares.items() if cases.get(group)}
    images, classes = [], []
    for sample in range(phase.batch_size):
        rng = np.random.default_rng((recipe.seed, step, sample, 1))
        weights = np.array(list(shares.values()))
        weights = weights / weights.sum() if weights.sum() else np.full(len(shares), 1 / len(shares))
        group = cases[list(shares)[int(rng.choice(len(shares), p=weights))]]
        case = group[int(rng.integers(len(group)))]
        hu, labels = sample_patch(case, phase.patch, phase.spacing_mm, recipe.augmentation, (recipe.seed, step, sample))
        images.append(to_channels(hu, recipe.input.intensity))
        classes.append(labels)
    return Batch(torch.stack(images).contiguous(memory_format=torch.channels_last_3d), torch.stack(classes))


def batches_ahead(recipe: SegmenterRecipe, cases: Cases, first: int, last: int) -> Iterator[Batch]:
    """Make batches in one thread beside the loop, a few ahead; an error there surfaces here."""
    made: queue.Queue = queue.Queue(_AHEAD)

    def work() -> None:
        torch.set_num_threads(1)
        try:
            for step in range(first, last):
                made.put(make_batch(recipe, cases, step))
        except Exception as problem:  # handed to the loop, which raises it
            made.put(problem)

    threading.Thread(target=work, daemon=True).start()
    for _ in range(first, last):
        item = made.get()
        if isinstance(item, Exception):
            raise item
        yield item


class SegmenterTraining:
    """A run of a recipe in a folder: `state.safetensors` to resume from, `log.csv` to watch.

    Args:
        recipe: what to train.
        folder: where state and log go.
        start_from: a state whose averaged net is the starting point, e.g. of a run on virtual patients.
    """

    def __init__(self, recipe: SegmenterRecipe, folder: Path, start_from: Path | None = None) -> None:
        self.recipe = recipe
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.net = OrganSegmenter(recipe.model).to(memory_format=torch.channels_last_3d)
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), weight_decay=recipe.weight_decay, fused=True)
        self.step = 0
        self._bf16: dict[tuple[int, ...], bool] = {}
        self._state = folder / "state.safetensors"
        if self._state.exists():
            self.step = load_state(self._state, self.net, self.ema, self.optimiser, recipe.digest)
        elif start_from is not None:
            load_state(start_from, self.net, self.ema)
            self.net.load_state_dict(self.ema.state_dict())

    @property
    def steps(self) -> int:
        """Steps of the whole recipe."""
        return sum(phase.steps for phase in self.recipe.phases)

    def run(self, cases: Cases, progress: Progress = SILENT) -> OrganSegmenter:
        """Train to the end of the recipe and return the averaged net.

        Args:
            cases: labelled cases of the groups `real`, `pseudo` and `virtual`.
            progress: told of every step.
        """
        begun, smooth = time.perf_counter(), None
        with progress.stage("training", self.steps) as stage, (self.folder / "log.csv").open("a", newline="") as file:
            stage.advance(self.step)
            log = csv.writer(file)
            for batch in batches_ahead(self.recipe, cases, self.step, self.steps):
                loss, norm = self._update(batch)
                smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
                self.step += 1
                stage.advance(1)
                if self.step % 20 == 0:
                    log.writerow([self.step, f"{smooth:.4f}", f"{norm:.3f}", f"{time.perf_counter() - begun:.0f}"])
                    file.flush()
                if self.step % _CHECKPOINT_EVERY == 0 or self.step == self.steps:
                    save_state(self._state, self.net, self.ema, self.optimiser, self.step, self.recipe.digest)
        return self.ema.eval()

    def _update(self, batch: Batch) -> tuple[float, float]:
        phase, within = phase_at(self.recipe, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(phase, within)
        offset = np.random.default_rng((self.recipe.seed, self.step, 2)).integers(0, 2, 2)
        weights = torch.ones(self.recipe.model.out_channels)
        weights[0] = self.recipe.background_weight

        def compute() -> Tensor:
            corner = (int(offset[0]), int(offset[1]))
            return segmentation_loss(self.net, batch.image, batch.classes, corner, weights)

        shape = tuple(batch.image.shape)
        if shape not in self._bf16:
            self._bf16[shape] = can_trust_bf16(self.net, compute)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16[shape]):
            loss = compute()
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.grad_clip)
        self.optimiser.step()
        decay = min(self.recipe.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.net.parameters()), 1 - decay)
        return float(loss.detach()), float(norm)
