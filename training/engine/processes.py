"""One process or many: device, precision and strategy by lightning-fabric, under torchrun where there are several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
from torch import Tensor, nn

from medfm_core.errors import InputError
from training.engine.config import RunConfig


def make_fabric(run: RunConfig, turns: int, bf16: bool) -> Fabric:
    """Join the processes that torchrun started, or be the only one.

    Args:
        run: the recipe's `run` section.
        turns: optimisers of the objective; with several, each turn leaves some parameters without gradient.
        bf16: compute under autocast to bf16.

    Raises:
        InputError: a GPU is asked for and there is none.
    """
    device = pick_device(run)
    several = TorchElasticEnvironment.detect()
    count = int(TorchElasticEnvironment().world_size()) if several else 1
    nodes = max(1, count // _local_world_size()) if several else 1
    strategy: object = "auto"
    if several and run.strategy == "fsdp":
        strategy = ModelParallelStrategy(_shard, data_parallel_size=count, tensor_parallel_size=1)
    elif several:
        strategy = DDPStrategy(find_unused_parameters=turns > 1, broadcast_buffers=False)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the monitor says what runs where
    fabric = Fabric(
        accelerator="cuda" if device == "cuda" else "cpu",
        devices=count // nodes,
        num_nodes=nodes,
        strategy=strategy,
        precision="bf16-mixed" if bf16 else "32-true",
    )
    fabric.launch()
    return fabric


def pick_device(run: RunConfig) -> str:
    """Resolve `auto` to `cuda` where there is one.

    Raises:
        InputError: a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if run.device == "cuda" and not there:
        raise InputError("run.device is cuda, but torch finds no GPU", "choose cpu, or install torch for your GPU")
    return "cuda" if there and run.device != "cpu" else "cpu"


def adder(fabric: Fabric) -> Callable[[Tensor], Tensor] | None:
    """What adds up a tensor of the host over all processes; None where there is one."""

    def add_up(values: Tensor) -> Tensor:
        return fabric.all_reduce(values.to(fabric.device), reduce_op="sum").to(values.device)

    return add_up if fabric.world_size > 1 else None


def largest(fabric: Fabric, number: int | None) -> int:
    """The largest number, such as that of a signal, that any process has; 0 for none."""
    if fabric.world_size == 1:
        return number or 0
    return int(fabric.all_reduce(torch.tensor(float(number or 0)), reduce_op="max"))


def leave() -> None:
    """Take leave of the other processes: one that exits while they still talk may end in a crash of its threads."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def to_device(fabric: Fabric, batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch with its tensors on the process's device; other values stay as they are."""
    return {k: v.to(fabric.device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}


def world_size() -> int:
    """Number of processes of this run, before they have joined."""
    return int(TorchElasticEnvironment().world_size()) if TorchElasticEnvironment.detect() else 1


def rank() -> int:
    """Number of this process, before they have joined."""
    return int(TorchElasticEnvironment().global_rank()) if TorchElasticEnvironment.detect() else 0


def _local_world_size() -> int:
    from medfm_core.settings import local_world_size

    return local_world_size()


def _shard(module: nn.Module, mesh: object) -> nn.Module:
    """Shard every block that a model lists in `blocks`, then the rest (FSDP2)."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    inner = mesh["data_parallel"]
    for part in module.modules():
        for block in getattr(part, "blocks", ()) if isinstance(getattr(part, "blocks", None), nn.ModuleList) else ():
            fully_shard(block, mesh=inner)
    module = fully_shard(module, mesh=inner)
    register_fsdp_forward_method(module, "encode")  # gathers the weights as a forward pass does
    return module
