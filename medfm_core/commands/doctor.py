"""`medfm doctor`: is everything here that MedFM needs?"""

from __future__ import annotations

import argparse

from medfm_core.commands import common

NAME = "doctor"
HELP = "check this machine: versions, memory, devices, weights"
ABOUT = "Look at everything that MedFM needs and say what to do where something is missing. Uses no network."
EPILOG = """examples:
  medfm doctor
  medfm doctor --json > doctor.json           for a bug report: it holds no names of people or files of yours
exit code 3 where something is missing, else 0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common.add_output(parser)
    parser.set_defaults(check=lambda args: args)


def run(args: argparse.Namespace) -> int:
    """Run the checks and show them."""
    from medfm_core import doctor

    checks = doctor.run_checks()
    if args.json:
        from medfm_core.progress import JsonLines

        JsonLines().event("doctor", **doctor.as_dict(checks))
    elif not args.quiet:
        from rich.console import Console

        Console(highlight=False).print(doctor.table(checks))
    return 3 if doctor.worst(checks) == "missing" else 0
