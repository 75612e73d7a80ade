"""`medfm panel`: the panel of the Slicer extension in a window of its own."""

from __future__ import annotations

import argparse
import sys

from medfm_core import RESEARCH_USE

NAME = "panel"
HELP = "the panel of the 3D Slicer extension in a window: open a scan, analyse it, look at the findings"
ABOUT = f"""Open a window with the panel that MedFM has in 3D Slicer and three slices of the scan: analyse it, look
through the findings, see where in the organs their scores come from, ask in free text, fetch weights. {RESEARCH_USE}"""
EPILOG = """examples:
  medfm panel
  medfm panel ct.nii.gz
  medfm panel ct.nii.gz --result case1

With --result the window shows a result of `medfm analyze` on the scan that it was made of.
Needs the extra: pip install 'medfm[panel]'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("scan", metavar="SCAN", nargs="?", help="scan to open: file or DICOM folder")
    parser.add_argument("--result", metavar="DIR", help="folder of a result of this scan, shown at once")
    parser.add_argument("--series", metavar="N", help="which series of a DICOM folder")
    parser.add_argument(
        "--screenshot", metavar="PNG", help="write a picture of the window and end; needs no display with "
        "QT_QPA_PLATFORM=offscreen",
    )  # fmt: skip
    parser.add_argument("--finding", metavar="NAME/ORGAN", help="finding that is chosen at once, with --result")
    parser.set_defaults(check=_check)


def run(args: argparse.Namespace) -> int:
    """Open the window, until it is closed."""
    from medfm_core.desktop.packages import check_display, check_packages

    check_display()
    check_packages()
    print(RESEARCH_USE, file=sys.stderr)
    from medfm_core.desktop.opening import open_window

    return open_window(args.scan, args.result, args)


def _check(args: argparse.Namespace) -> argparse.Namespace:
    if args.result and not args.scan:
        raise argparse.ArgumentTypeError("--result needs SCAN, the scan that it was made of")
    if args.finding and (not args.result or args.finding.count("/") != 1):
        raise argparse.ArgumentTypeError("--finding needs --result, and the form NAME/ORGAN")
    return args
