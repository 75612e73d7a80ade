"""A small net with what checkpoints find hard, and what two processes do with checkpoints of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
from bad_files import file_size_limit
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from medfm_core.errors import MedFMError
from training.engine.checkpoint import RunState, load_checkpoint, save_checkpoint


class Net(nn.Module):
    """Tied weights, a module used twice, sizes that two cannot share, buffers of several types, a frozen weight."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.enter = nn.Linear(5, 7)
        self.norm = nn.BatchNorm1d(7)
        self.mix = nn.Linear(7, 7)
        self.mix_again = self.mix
        self.tied = nn.Linear(7, 7)
        self.tied.weight = self.mix.weight
        self.leave = nn.Linear(7, 1)
        self.unused = nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.randn(3, 2), requires_grad=False)
        self.register_buffer("rough", torch.randn(3).to(torch.bfloat16))
        self.register_buffer("flags", torch.rand(4) > 0.5)
        self.register_buffer("scratch", torch.randn(2), persistent=False)

    def forward(self, x):
        x = self.norm(self.enter(x)).relu()
        x = self.mix_again(self.mix(x)).relu()
        return self.leave(self.tied(x) * self.rough.float().sum())


def adamw(net: nn.Module, **options) -> torch.optim.AdamW:
    values = [value for value in net.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in values if value.ndim > 1], "weight_decay": 0.1, "lr_scale": 0.5},
        {"params": [value for value in values if value.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.95), **options)


def step(net: nn.Module, optimiser: torch.optim.Optimizer, number: int) -> float:
    """One step on a batch that depends on the step alone."""
    batch = torch.randn(6, 5, generator=torch.Generator().manual_seed(number))
    loss = (net(batch) - 1).square().mean()
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    return loss.item()


def train(net: nn.Module, optimiser: torch.optim.Optimizer, first: int, after: int) -> list[float]:
    return [step(net, optimiser, number) for number in range(first, after)]


def wrapped(kind: str, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    net = Net(seed)
    if kind == "ddp":
        net = DistributedDataParallel(net, find_unused_parameters=True)
    elif kind in ("fsdp", "hsdp"):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        sides = {"fsdp": (2,), "hsdp": (2, 1)}[kind]
        mesh = init_device_mesh("cpu", sides, mesh_dim_names=("copies", "parts")[-len(sides) :])
        fully_shard(net.enter, mesh=mesh)
        fully_shard(net, mesh=mesh)
    return net, adamw(net)


def two_processes(rank: int, folder: Path) -> None:
    """What each of two processes does, from `folder/one`, a checkpoint of a single process at step 2."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.set_num_threads(1)
    seen: dict[str, object] = {}
    one = folder / "one" / "step_00000002"
    state = RunState(2, "abc", metric=0.5)
    for kind in ("plain", "ddp", "fsdp", "hsdp"):
        net, optimiser = wrapped(kind, seed=50 + rank)
        seen[f"{kind} step"] = load_checkpoint(one, {"net": net}, {"all": optimiser}, "abc").step
        save_checkpoint(folder / kind, {"net": net}, {"all": optimiser}, state)
        if kind in ("ddp", "fsdp"):
            seen[f"{kind} losses"] = train(net, optimiser, 2, 5)
            trained = save_checkpoint(folder / f"{kind}-trained", {"net": net}, {"all": optimiser}, state)
            again, again_optimiser = wrapped(kind, seed=70 + rank)
            load_checkpoint(trained, {"net": again}, {"all": again_optimiser})
            save_checkpoint(folder / f"{kind}-again", {"net": again}, {"all": again_optimiser}, state)
            seen[f"{kind} goes on"] = train(net, optimiser, 5, 7) == train(again, again_optimiser, 5, 7)
    moment = optimiser.state[net.enter.weight]["exp_avg"]
    seen["moments are split"] = type(moment).__name__ == "DTensor" and moment.placements == net.enter.weight.placements
    seen["refused"] = failure(lambda: load_checkpoint(one, {"net": net}, {"all": optimiser}, "other"))
    seen["damaged"] = failure(lambda: load_checkpoint(folder / "damaged", {"net": net}, {"all": optimiser}))
    with file_size_limit(1000 if rank == 0 else 10**9):
        seen["full"] = failure(lambda: save_checkpoint(folder / "fsdp", {"net": net}, {"all": optimiser}, state))
    (folder / f"seen-{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


def failure(action) -> str:
    try:
        action()
    except MedFMError as error:
        return f"{type(error).__name__}: {error}"
    return "none"
