"""How fast a run goes: samples and tokens per second, waiting for data, step time, use of the device."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Work:
    """One step's work and time.

    Attributes:
        samples: samples of the step over all processes.
        seconds: time from asking for the batch to telling the monitor; a device may still be at work then.
        seconds_waiting: part of it in which this process waited for data.
        tokens: tokens of the step over all processes, 0 where the model has none.
    """

    samples: int
    seconds: float
    seconds_waiting: float = 0.0
    tokens: int = 0


class Throughput:
    """Figures of speed between two lines of the log.

    Attributes:
        flops_per_step: counted operations of a step on this process; None: not counted.
        peak_flops_per_second: what its device can do at most; None: not known.
    """

    def __init__(self) -> None:
        self.flops_per_step: int | None = None
        self.peak_flops_per_second: float | None = None
        self._steps: list[Work] = []

    def add(self, work: Work) -> None:
        """Add one step."""
        self._steps.append(work)

    def flush(
        self, all_reduce: Callable[[Tensor], Tensor] | None = None, device_seconds: float = 0.0
    ) -> dict[str, float]:
        """Return the figures since the last flush, and begin anew.

        Args:
            all_reduce: adds up a tensor over all processes, so that waiting on any of them shows.
            device_seconds: how long the device was still at work after the last of the steps.

        Returns:
            `samples_per_second`, `step_seconds` (median), `data_wait` (share of the time, 0 to 1), where there are
            tokens `tokens_per_second`, and where operations are counted and the peak is known `mfu`, the share of the
            peak that was used (0 to 1). Empty when no step was added.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return {}
        times = [sum(work.seconds for work in steps) + device_seconds, sum(work.seconds_waiting for work in steps), 1.0]
        if all_reduce is not None:
            times = all_reduce(torch.tensor(times, dtype=torch.float64)).tolist()
        seconds, waiting = (max(value / times[2], 1e-9) for value in times[:2])
        figures = {
            "samples_per_second": sum(work.samples for work in steps) / seconds,
            "step_seconds": statistics.median(work.seconds for work in steps) + device_seconds / len(steps),
            "data_wait": min(waiting / seconds, 1.0),
        }
        if any(work.tokens for work in steps):
            figures["tokens_per_second"] = sum(work.tokens for work in steps) / seconds
        if self.flops_per_step and self.peak_flops_per_second:
            figures["mfu"] = self.flops_per_step * len(steps) / seconds / self.peak_flops_per_second
        return figures
