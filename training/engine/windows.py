"""Running means of a stopped run: each process's own, kept in the checkpoint and given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.distributed as dist

from training.engine.checkpoint_ranks import is_distributed

Window = dict[str, Any]


def gather_windows(own: Window) -> list[Window]:
    """The windows of all processes, by rank; all must call."""
    if not is_distributed():
        return [own]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, own)
    return found


def own_window(windows: Sequence[Mapping[str, Any]], rank: int, world_size: int) -> Mapping[str, Any]:
    """The window of one process; where their number has changed, rank 0 goes on with the sums of all.

    Args:
        windows: as `gather_windows` gave them.
        rank: of this process.
        world_size: processes of the run now.
    """
    if len(windows) == world_size:
        return windows[rank]
    return {**windows[0], **{name: _added(windows, name, rank) for name in ("monitor", "best")}}


def _added(windows: Sequence[Mapping[str, Any]], name: str, rank: int) -> Window:
    """The sums and counts of all on rank 0, and zeros of the same names elsewhere."""
    states = [window[name] for window in windows]
    joined: Window = {"largest": states[0]["largest"]}
    for part in ("sums", "counts"):
        names = states[0][part]
        joined[part] = {key: sum(state[part].get(key, 0) for state in states) if rank == 0 else 0 for key in names}
    return joined
