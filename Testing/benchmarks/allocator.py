"""`python Testing/benchmarks/allocator.py CT`: what keeping freed blocks does to `medfm analyze`.

The command runs alternately with glibc's default treatment of large blocks (an empty GLIBC_TUNABLES is a setting of the
user's, which MedFM leaves alone) and with `medfm_core.allocator`. Figures are medians of one run on one machine; quote
ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROWS = (("total", "s"), ("networks", "s"), ("in the kernel", "s"), ("peak", "GB"))


def measure(path: str, environment: dict[str, str]) -> dict[str, float]:
    """Run the command in a process of its own; return seconds and peak memory in GB."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "case"
        command = [sys.executable, "-m", "medfm_core.cli", "analyze", path, "--out", str(out), "--quiet"]
        begun = time.perf_counter()
        child = os.spawnvpe(os.P_NOWAIT, sys.executable, command, environment)
        _, status, usage = os.wait4(child, 0)
        total = time.perf_counter() - begun
        if status:
            raise SystemExit(f"medfm analyze ended with {os.waitstatus_to_exitcode(status)}")
        inside = json.loads((out / "analysis.json").read_text())["run"]["inside_networks"]
    seconds = {"total": total, "networks": sum(inside.values()), "in the kernel": usage.ru_stime}
    return seconds | {"peak": usage.ru_maxrss / 1e6}


def main() -> None:
    """Run both and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", help="a CT file")
    parser.add_argument("--times", type=int, default=5, help="runs of each (default 5)")
    options = parser.parse_args()
    plain = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    settings = {"kept": plain, "default": plain | {"GLIBC_TUNABLES": ""}}
    runs = {name: [] for name in settings}
    for _ in range(options.times):
        for name, environment in settings.items():
            runs[name].append(measure(options.ct, environment))
    print(f"{'':16}{'kept':>11}{'default':>13}{'ratio':>8}")
    for row, unit in ROWS:
        kept, default = (statistics.median(run[row] for run in runs[name]) for name in ("kept", "default"))
        print(f"{row:16}{kept:>8.2f} {unit:<2}{default:>10.2f} {unit:<2}{kept / default:>8.2f}")


if __name__ == "__main__":
    main()
