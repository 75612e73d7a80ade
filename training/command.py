"""What the command lines of this package share: how they fail, and how their help looks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import wraps

from medfm_core.allocator import keep_freed_blocks
from medfm_core.errors import MedFMError

Main = Callable[[Sequence[str] | None], int]
NOTHING_WRITTEN = "Stopped; nothing was written."
GOES_ON = "Stopped; the same command goes on where it was."


def command(stopped: str = NOTHING_WRITTEN) -> Callable[[Main], Main]:
    """Make a function the main function of a command: what goes wrong becomes one sentence and an exit code.

    Args:
        stopped: what Ctrl-C leaves behind, in a sentence.
    """

    def decorate(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str] | None = None) -> int:
            keep_freed_blocks()
            try:
                return main(arguments)
            except MedFMError as problem:
                print(problem, file=sys.stderr)
                return problem.exit_code
            except KeyboardInterrupt:
                print(stopped, file=sys.stderr)
                return 1

        return guarded

    return decorate


def parser_of(module: str, description: str, examples: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of `python -m training.<module>`; examples keep their lines."""
    return argparse.ArgumentParser(
        prog=f"python -m training.{module}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
