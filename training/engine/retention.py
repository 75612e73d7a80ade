"""Which checkpoints a run has, and which of them stay: always the last one and the best one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medfm_core.errors import InputError
from training.engine.checkpoint_files import folders, remove
from training.engine.checkpoint_ranks import is_writer

Mode = Literal["min", "max"]


@dataclass(frozen=True)
class CheckpointInfo:
    """One checkpoint: its folder, the steps done, and its metric, None where that was not measured."""

    path: Path
    step: int
    metric: float | None


def find_checkpoints(folder: str | Path) -> list[CheckpointInfo]:
    """List the checkpoints of a run by step; what is incomplete or foreign is passed over.

    Sizes are compared, hashes only when one is loaded. A folder that is not there has none.
    """
    return [CheckpointInfo(path, found.step, found.metric) for path, found in folders(Path(folder))]


def last(folder: str | Path) -> CheckpointInfo | None:
    """The checkpoint with most steps; None where there is none."""
    found = find_checkpoints(folder)
    return found[-1] if found else None


def best(folder: str | Path, mode: Mode = "min") -> CheckpointInfo | None:
    """The checkpoint with the best metric, the later one of equals; None where none was measured.

    Raises:
        InputError: `mode` is not known.
    """
    ranked = _ranked(find_checkpoints(folder), mode)
    return ranked[0] if ranked else None


def retain(folder: str | Path, keep_last: int, keep_best: int, mode: Mode = "min") -> None:
    """Remove all checkpoints but the newest and the best; rank 0 does it, on other ranks nothing happens.

    Args:
        folder: the run's folder of checkpoints.
        keep_last: how many of the newest to keep, at least 1.
        keep_best: how many of the best to keep beside them; 0 for a run without a metric.
        mode: whether a low (`min`) or a high (`max`) metric is good.

    Raises:
        InputError: a count or the mode cannot be used, or a checkpoint cannot be removed.
    """
    if keep_last < 1 or keep_best < 0:
        raise InputError(f"cannot keep {keep_last} last and {keep_best} best checkpoints", "keep at least the last one")
    if not is_writer():
        return
    found = find_checkpoints(folder)
    kept = {info.path for info in (*found[-keep_last:], *_ranked(found, mode)[:keep_best])}
    for info in found:
        if info.path not in kept:
            remove(info.path)


def _ranked(found: list[CheckpointInfo], mode: Mode) -> list[CheckpointInfo]:
    if mode not in ("min", "max"):
        raise InputError(f"the best checkpoint cannot be chosen by {mode!r}", "choose min or max")
    sign = 1 if mode == "min" else -1
    measured = [info for info in found if info.metric is not None]
    return sorted(measured, key=lambda info: (sign * info.metric, -info.step))
