"""What checkpoints need of several processes: one that writes, outcomes for all, tensors made whole and shared out.

Everything here also works in a single process without a process group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from medfm_core.errors import MedFMError

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether this process belongs to a group."""
    return dist.is_available() and dist.is_initialized()


def is_writer() -> bool:
    """Whether this is the process that reads and writes files: rank 0."""
    return not is_distributed() or dist.get_rank() == 0


def on_writer(action: Callable[[], T]) -> T:
    """Do something on rank 0 and give its result, or its error, to all ranks; all ranks must call.

    Args:
        action: what to do; its result must be picklable, since it travels between the processes of this run.

    Raises:
        Exception: what rank 0 met; the others see errors of MedFM as they are and any other as RuntimeError.
    """
    if not is_distributed():
        return action()
    outcome: list = [None, None]
    problem: Exception | None = None
    if is_writer():
        try:
            outcome[0] = action()
        except Exception as error:  # the others wait for an answer, whatever went wrong
            problem = error
            outcome[1] = error if isinstance(error, MedFMError) else RuntimeError(f"rank 0 failed: {error}")
    dist.broadcast_object_list(outcome, src=0)
    if problem is None:
        problem = outcome[1]
    if problem is not None:
        raise problem
    return outcome[0]


def is_sharded(value: Tensor) -> bool:
    """Whether each rank holds only a part of a tensor (a DTensor)."""
    return hasattr(value, "full_tensor")


def gather(value: Tensor) -> Tensor | None:
    """Make a tensor whole on the CPU of rank 0, contiguous; all ranks must call, and the others get None.

    The result may share memory with `value`.
    """
    value = value.detach()
    if is_sharded(value):
        value = value.full_tensor()
    return value.cpu().contiguous() if is_writer() else None


@torch.no_grad()
def spread(whole: Tensor | None, target: Tensor) -> None:
    """Copy a whole tensor of rank 0 into a live tensor on all ranks, each its part; all ranks must call.

    Args:
        whole: shape and type of `target`, on any device; None on the other ranks.
        target: keeps its memory layout, device and sharding.
    """
    target = target.detach()
    if is_distributed():
        whole = _broadcast(whole, target)
    if is_sharded(target):
        from torch.distributed.tensor import distribute_tensor

        whole = whole.to(target.device)
        whole = distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None).to_local()
        target = target.to_local()
    target.copy_(whole)


def _broadcast(whole: Tensor | None, target: Tensor) -> Tensor:
    """Send a tensor as bytes, since not every back end knows every type."""
    if whole is None:
        whole = torch.empty(target.shape, dtype=target.dtype, device=target.device)
    else:
        whole = whole.to(target.device).contiguous()
    if whole.numel():
        dist.broadcast(whole.reshape(-1).view(torch.uint8), src=0)
    return whole
