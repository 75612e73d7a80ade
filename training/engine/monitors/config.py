"""What of a run is watched, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medfm_core.errors import InputError


@dataclass(frozen=True)
class MonitorConfig:
    """What of a run is watched, and how often.

    Attributes:
        log_every: steps per row of log.csv; also how often the host waits for the device.
        health_every: steps between two looks at the representation; 0 for never.
        probe_every: steps between two linear probes; 0 for never.
        plots_every: steps between two drawings of plots/overview.png; 0 for only at the end.
        tensorboard: write TensorBoard's log too, if it is installed.
        terminal: `live` view, plain `lines`, `none`, or `auto`: a live view on a terminal and lines elsewhere.
        count_flops: count the operations of the first step, for the MFU.
        measure_peak: multiply matrices for some tenths of a second to find the peak of a device without a data sheet.
    """

    log_every: int = 10
    health_every: int = 500
    probe_every: int = 1000
    plots_every: int = 1000
    tensorboard: bool = True
    terminal: Literal["auto", "live", "lines", "none"] = "auto"
    count_flops: bool = True
    measure_peak: bool = True

    def __post_init__(self) -> None:
        """Check what types cannot."""
        if self.log_every < 1:
            raise InputError(f"monitor.log_every is {self.log_every}", "give at least 1")
        for name in ("health_every", "probe_every", "plots_every"):
            if getattr(self, name) < 0:
                raise InputError(f"monitor.{name} is {getattr(self, name)}", "give 0 (never) or more")
        if self.terminal not in ("auto", "live", "lines", "none"):
            raise InputError(f"monitor.terminal is {self.terminal!r}", "choose auto, live, lines or none")
