"""The command `medfm`: reads the arguments, runs a command of `medfm_core.commands`, and turns errors into exit codes.

Only argparse is imported before a command is known, so `--help` and `--version` answer at once.
"""

from __future__ import annotations

import argparse
import atexit
import difflib
import gc
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from medfm_core import RESEARCH_USE, __version__
from medfm_core.allocator import keep_freed_blocks
from medfm_core.commands import COMMANDS
from medfm_core.errors import MedFMError

STOPPED, TERMINATED = 130, 143

_EPILOG = """examples:
  medfm analyze --sample                      try it on the CT that comes with MedFM
  medfm analyze ct.nii.gz --out case1         organs, measurements and report of your CT
  medfm analyze p1_T1w.nii.gz p1_FLAIR.nii.gz --out p1    vectors and maps of a study of brain MRI
  medfm batch scans --out results             the same for every CT in a folder
  medfm segment dicom_folder --out organs.seg.nrrd
  medfm findings list --organ liver           what can be looked for in the liver?
  medfm ask ct.nii.gz --organ liver "steatosis"
  medfm embed knee.nii.gz --out vectors/knee  one vector for any image: CT, MR, X-ray, ultrasound
  medfm reconstruct ct.nii.gz --out drawn     an image drawn again from its tokens
  medfm similar case1 --in results            which results are most like case1?
  medfm panel ct.nii.gz                       the same in a window, with buttons
  medfm models list
  medfm doctor                                is everything here that MedFM needs?

exit codes: 0 done, 1 failed, 2 wrong input or command, 3 weights, memory, disk or device missing, 130 stopped by you
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence that names the nearest option."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **settings}
        super().__init__(*args, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on stderr and exit with code 2."""
        self.exit(2, f"{self.prog}: {message.rstrip('.')}{self._hint(message)}; see `{self.prog} --help`.\n")

    def _hint(self, message: str) -> str:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        for word in re.findall(r"--?[\w-]+", message):
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
            if word not in known and near:
                return f" (did you mean {near[0]}?)"
        chosen = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if chosen:
            near = difflib.get_close_matches(chosen[1], re.findall(r"[\w.-]+", chosen[2]), n=1, cutoff=0.5)
            return f" (did you mean {near[0]}?)" if near else ""
        return ""


class _Terminated(KeyboardInterrupt):
    """The process was asked to end."""


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command, and those of its commands by name."""
    parser = Parser(
        prog="medfm",
        description=f"Organs, measurements and a report from a CT, offline. {RESEARCH_USE}",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"medfm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    parsers = {}
    for command in COMMANDS:
        added = commands.add_parser(command.NAME, help=command.HELP, description=command.ABOUT, epilog=command.EPILOG)
        command.add_arguments(added)
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        added.set_defaults(run=command.run, json=False, quiet=False)
        parsers[command.NAME] = added
    return parser, parsers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit code.
    """
    try:
        args = _parse(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    keep_freed_blocks()
    atexit.register(gc.freeze)  # the interpreter's last collection would look through all of torch, half a second
    with _terminate_as_interrupt():
        return _guarded(args)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser, parsers = build_parser()
    args, extra = parser.parse_known_args(arguments)
    if extra:
        command = parsers[args.command]
        options = [word for word in extra if word.startswith("-")]
        command.error(f"unknown option {options[0]}" if options else f"cannot use {' '.join(extra)!r}")
    try:
        return parsers[args.command].get_default("check")(args) or args
    except argparse.ArgumentTypeError as problem:
        parsers[args.command].error(str(problem))


def _guarded(args: argparse.Namespace) -> int:
    try:
        return args.run(args)
    except MedFMError as error:
        return _fail(args, str(error), error.exit_code, type(error).__name__)
    except KeyboardInterrupt as stop:
        code = TERMINATED if isinstance(stop, _Terminated) else STOPPED
        return _fail(args, "stopped; nothing was written.", code, "Stopped")
    except BrokenPipeError:  # the reader of our output had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        hint = "" if args.debug else "; please report it with the output of the same command with --debug"
        return _fail(args, f"unexpected error ({what}){hint}.", 1, "Unexpected")


def _fail(args: argparse.Namespace, sentence: str, code: int, kind: str) -> int:
    if args.debug:
        traceback.print_exc()
    print(f"medfm: {sentence}", file=sys.stderr)
    if args.json:
        from medfm_core.progress import CancelledError, JsonLines

        try:
            JsonLines().event("error", kind=kind, message=sentence, exit_code=code)
        except CancelledError:
            return code
    return code


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let a polite kill clean up as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _Terminated

    before: Callable | int | None = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
