"""`python Testing/benchmarks/expert_step.py`: a pre-training step of Neuro-JEPA beside plainer formulations of it.

One step is forward, backward, AdamW, and the teacher's and experts' update, on made-up heads with the same masks and
weights for every row:

- ours: experts in order, one product per expert over contiguous rows; all kinds of masks in one pass.
- loop: for each expert, find the tokens that chose it, run two linear layers on them, add the weighted answer back.
- loop, pass per mask: the same, and a pass of encoder and predictor for each kind of masks, one after the other.
- loop in place, pass per mask: the answers are added into one tensor by `total[rows] += ...`, as released code often
  has it.

The rows take turns, and the losses are compared. Figures are medians of one run on one machine; quote ratios.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.allocator import keep_freed_blocks
from medfm_core.layers.experts import Experts
from medfm_core.models.neuro_jepa import NeuroJepaConfig, sizes
from medfm_core.strict import from_dict
from training.engine.draw import DrawKey
from training.objectives.neuro_jepa import NeuroJepa, NeuroJepaObjectiveConfig
from training.objectives.neuro_jepa_loss import latent_loss

CROP = (96, 108, 96)  # voxels, as published


def loop(self: Experts, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """The plain way: expert by expert, `(T, W)` to `(T, W)`."""
    kind = tokens.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tokens.dtype
    total = torch.zeros_like(tokens, dtype=dtype)
    # Split once: the gradient of a slice would be a tensor as large as the weights of all experts.
    layers = (self.widen_weight, self.widen_bias, self.narrow_weight, self.narrow_bias)
    for number, (wide, wide_bias, narrow, narrow_bias) in enumerate(
        zip(*(one.unbind() for one in layers), strict=True)
    ):
        rows, place = torch.where(chosen == number)
        hidden = functional.gelu(functional.linear(tokens[rows], wide, wide_bias))
        said = functional.linear(hidden, narrow, narrow_bias)
        total = total.index_add(0, rows, said * weights[rows, place, None].to(dtype))
    return total


def loop_in_place(self: Experts, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """The same with `+=` on rows of one fp32 tensor, `(T, W)` to `(T, W)`."""
    total = torch.zeros_like(tokens, dtype=torch.float32)
    layers = (self.widen_weight, self.widen_bias, self.narrow_weight, self.narrow_bias)
    for number, (wide, wide_bias, narrow, narrow_bias) in enumerate(
        zip(*(one.unbind() for one in layers), strict=True)
    ):
        rows, place = torch.where(chosen == number)
        hidden = functional.gelu(functional.linear(tokens[rows], wide, wide_bias))
        said = functional.linear(hidden, narrow, narrow_bias)
        total[rows] += said * weights[rows, place, None]
    return total


def together(objective: NeuroJepa, batch: dict[str, Tensor]) -> Tensor:
    """The loss of all kinds of masks in one pass."""
    return objective(batch)["loss"]


def one_by_one(objective: NeuroJepa, batch: dict[str, Tensor]) -> Tensor:
    """The same loss with a pass for each kind of masks; the teacher sees the volume once."""
    target, losses = objective._targets(batch["image"]), []
    grid = objective.encoder.config.token_grid(batch["image"].shape[2:])
    for kind in range(batch["visible"].shape[1]):
        visible, hidden = batch["visible"][:, kind], batch["hidden"][:, kind]
        context = objective.encoder.through_blocks(objective.encoder.embed(batch["image"], visible), grid, visible)
        kinds = torch.full((len(visible),), kind)
        guessed = objective.predictor(context.tokens, visible, hidden, kinds, grid)
        wanted = target.gather(1, hidden[..., None].expand(-1, -1, target.shape[-1]))
        tissue = batch["foreground"].gather(1, hidden)
        losses.append(latent_loss(guessed, wanted, tissue, objective.config.background_weight))
        objective._loads.count(context.routing, keep=True)
    return torch.stack(losses).mean()


def batch_of(objective: NeuroJepa, size: int) -> dict[str, Tensor]:
    """Heads that are balls of noise, with the objective's masks."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in CROP), indexing="ij")
    head = sum(axis**2 for axis in axes) < 0.7
    samples = []
    for number in range(size):
        drawn = torch.Generator().manual_seed(number)
        image = torch.rand(1, *CROP, generator=drawn) * head
        samples.append(objective.prepare_sample({"image": image}, DrawKey(0, number)))
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


class Row:
    """One formulation with its own copy of the weights and its own optimiser."""

    def __init__(
        self,
        objective: NeuroJepa,
        batch: dict[str, Tensor],
        loss: Callable[[NeuroJepa, dict[str, Tensor]], Tensor],
        *,
        experts: Callable[..., Tensor] | None = None,
        precision: torch.dtype,
    ) -> None:
        self.objective, self.batch, self.loss, self.experts = copy.deepcopy(objective), batch, loss, experts
        parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        self.autocast = torch.autocast("cpu", precision, enabled=precision != torch.float32)
        self.seconds, self.losses = [], []

    def step(self) -> None:
        """One whole step."""
        with patch.object(Experts, "forward", self.experts) if self.experts else nullcontext():
            begun = time.perf_counter()
            self.objective.before_step(0, 1)
            with self.autocast:
                value = self.loss(self.objective, self.batch)
            value.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.objective.after_step(0, 1)
            self.seconds.append(time.perf_counter() - begun)
            self.losses.append(value.item())


def main() -> None:
    """Let the rows take turns and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", choices=sorted(sizes()))
    parser.add_argument("--batch", type=int, default=2, help="volumes (default 2)")
    parser.add_argument("--steps", type=int, default=3, help="steps of each row after one that is not counted")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    keep_freed_blocks()
    torch.manual_seed(0)
    config = NeuroJepaObjectiveConfig()
    objective = NeuroJepa(from_dict(NeuroJepaConfig, sizes()[options.size], options.size), config).train()
    batch = batch_of(objective, options.batch)
    precision = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    rows = {
        "ours": Row(objective, batch, together, precision=precision),
        "loop": Row(objective, batch, together, experts=loop, precision=precision),
        "loop, pass per mask": Row(objective, batch, one_by_one, experts=loop, precision=precision),
        "loop in place, pass per mask": Row(objective, batch, one_by_one, experts=loop_in_place, precision=precision),
    }
    for _ in range(options.steps + 1):
        for row in rows.values():
            row.step()
    print(f"{options.size}, {options.batch} volumes, {options.precision}, {torch.get_num_threads()} threads")
    ours = statistics.median(rows["ours"].seconds[1:])
    for name, row in rows.items():
        seconds = statistics.median(row.seconds[1:])
        told = " ".join(f"{value:.5f}" for value in row.losses)
        print(f"{name:30}{seconds:>8.2f} s a step{seconds / ours:>8.2f} times ours   losses {told}")


if __name__ == "__main__":
    main()
