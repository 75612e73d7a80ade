"""`medfm view`: a result in the browser."""

from __future__ import annotations

import argparse
import sys

from medfm_core import RESEARCH_USE

NAME = "view"
HELP = "look at a result in the browser: slices, 3D, organs, findings, saliency; maps of brain MRI"
ABOUT = f"""Open a result of `medfm analyze` in the browser: three slice views and 3D with the organs, the findings, and
where in the organs their scores come from. A click on a finding or an organ moves all views there. The page is served
to this computer alone and ends with Ctrl-C. Of brain MRI it shows each scan with its saliency and with the experts of
the model. {RESEARCH_USE}"""
EPILOG = """examples:
  medfm analyze --sample && medfm view medfm-sample
  medfm view case1 ct.nii.gz
  medfm view case1 dicom_folder --series 2 --port 9000 --no-browser
  medfm view p1 p1_T1w.nii.gz p1_FLAIR.nii.gz             brain MRI: all scans of the study, in any order

RESULT holds no copy of the scan; without SCAN organs and maps stand on black (the sample's scan is found by itself).
Needs the extra: pip install 'medfm[view]'"""
PORT = 8470


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("result", metavar="RESULT", help="folder of results that `medfm analyze` wrote")
    parser.add_argument("scan", metavar="SCAN", nargs="*",
                        help="the scan that was analysed, file or DICOM folder; of brain MRI several")  # fmt: skip
    parser.add_argument("--series", metavar="N", help="which series of a DICOM folder")
    parser.add_argument("--port", metavar="N", type=_port, default=PORT, help=f"default: {PORT}; 0 for any free one")
    parser.add_argument("--no-browser", action="store_true", help="only say the address; open no browser")
    parser.set_defaults(check=lambda args: args)


def run(args: argparse.Namespace) -> int:
    """Read the result and serve it until Ctrl-C."""
    from medfm_core.viewer import serving

    serving.check_packages()
    port = serving.free_port(args.port)
    print(RESEARCH_USE, file=sys.stderr)
    from medfm_core.viewer.sources import ShownBrain, open_any

    shown = open_any(args.result, args.scan, args.series)
    if not shown.has_scan:
        print("warning: a SCAN that is not given is black below its overlays.", file=sys.stderr)
    if isinstance(shown, ShownBrain):
        from medfm_core.viewer.brain_page import BrainPage as Page
    else:
        from medfm_core.viewer.page import Page

    page = Page(shown)
    address = f"http://{serving.HOST}:{port}/"

    def ready(**_: object) -> None:
        print(f"{address}   (Ctrl-C ends it)", flush=True)
        if not args.no_browser and not serving.open_browser(address):
            print("warning: no browser could be started; open the address in one.", file=sys.stderr)

    page.server.controller.on_server_ready.add(ready)
    page.server.start(host=serving.HOST, port=port, open_browser=False, show_connection_info=False, timeout=0)
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)
