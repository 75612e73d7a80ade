"""Programs of others, each in a process of its own, without our keys and without the network's caches."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medfm_core.errors import ResourceError
from medfm_core.progress import Progress
from medfm_core.settings import worker_environment

_LOOK_EVERY_S = 0.1
_END_WITHIN_S = 5.0
_TOLD = 300  # characters of its last words that an error repeats


@dataclass(frozen=True)
class Product:
    """The file that a program is run for.

    Attributes:
        path: where it must be afterwards.
        what: it is, for errors, such as "label map".
    """

    path: Path
    what: str


def find_program(names: Sequence[str]) -> Path | None:
    """The first of several programs that lies beside this Python or on the path; None where there is none."""
    for name in names:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if found:
            return Path(found)
    return None


def run_program(
    order: Sequence[str],
    folder: Path,
    progress: Progress,
    *,
    environment: Mapping[str, str] | None = None,
    product: Product | None = None,
    advice: str = "try it by itself on the scan",
) -> None:
    """Run a program to its end; a cancelled run ends it.

    Args:
        order: the program and its arguments; no shell reads them.
        folder: where it runs.
        progress: may cancel.
        environment: of the program; by default that of a process that reads files of strangers.
        product: what it must have written.
        advice: what to do where it failed.

    Raises:
        ResourceError: it could not be started, ended with another code than 0, or wrote nothing; its last line is told.
        CancelledError: no more is wanted.
    """
    name = Path(order[0]).stem
    environment = dict(worker_environment() if environment is None else environment)
    with (folder / "said.txt").open("w+b") as said:
        try:
            process = subprocess.Popen(  # noqa: S603 the user's own program, no shell
                list(order), stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, cwd=folder
            )
        except OSError as error:
            raise ResourceError(f"{name} cannot be started ({error.strerror})", "try it by itself") from error
        try:
            while process.poll() is None:
                progress.check()
                time.sleep(_LOOK_EVERY_S)
        finally:
            _end(process)
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip()
    if process.returncode or (product is not None and not product.path.is_file()):
        last = " ".join(words.replace(str(folder), "").splitlines()[-1:])[-_TOLD:]
        without = f" and no {product.what}" if product is not None else ""
        told = f" ({last})" if last else ""
        raise ResourceError(f"{name} ended with code {process.returncode}{without}{told}", advice)


def _end(process: subprocess.Popen) -> None:
    """See to it that the process does not outlive us."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
