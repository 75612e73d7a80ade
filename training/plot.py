"""`python -m training.plot`: draw a run from its log, also while it runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from medfm_core.errors import MedFMError
from training.engine.monitors.plots import plot_run

EPILOG = """what is drawn, from RUN/log.csv (one row per logged step):
  overview.png         the run on one page
  loss, lr, grad_norm  thin: each row; bold: smoothed. A rising gradient norm announces trouble before the loss does
  throughput, device   samples per second; share of the time that the loop waits for data (aim: 3 % or less), and MFU,
                       the counted operations per second over the most that the device can do
  rank, similarity     health of the representation of a fixed set of samples: in how many directions they spread
                       (falling to 1 or 2: collapse), how alike they are (1: all the same), share of features that stand
                       still
  probe_*              what a linear model reads out of the features, beside the level of chance (dashed)
  extra_*              whatever else the objective logs; names with a slash share a panel
Red lines are alarms: NaN, a jump of the loss or the gradient, a collapsing representation.

examples:
  python -m training.plot runs/mine
  python -m training.plot runs/mine --out pictures --overview-only
  python -m training.plot runs/a runs/b
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.plot",
        description="Draw the log of one run or more as PNG pictures. The run need not be over.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, which holds log.csv")
    parser.add_argument("--out", type=Path, help="folder of the pictures (default: RUN/plots); for one run only")
    parser.add_argument("--overview-only", action="store_true", help="draw overview.png alone")
    options = parser.parse_args(arguments)
    if options.out is not None and len(options.runs) > 1:
        print("--out is for one run; give one, or leave --out away.", file=sys.stderr)
        return 2
    try:
        for run in options.runs:
            files = plot_run(run, options.out, panels=not options.overview_only)
            print(f"{len(files)} pictures; the run on one page is {files[0]}")
    except MedFMError as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
