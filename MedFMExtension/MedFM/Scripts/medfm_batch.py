"""`medfm batch` for Slicer without windows.

    Slicer --no-splash --no-main-window --python-script MedFMExtension/MedFM/Scripts/medfm_batch.py -- IN --output DIR

The same code as `medfm batch IN --out DIR`, with all its options, run by Slicer's own Python as a child process, so
that Slicer never imports torch; `--python PATH` takes another Python. Ends with the exit code of `medfm batch`, so that
Slicer ends too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from MedFMLib.launch import Launch, plan_launch

_MISSING = 3
_STOPS_WITHIN_S = 5.0


def main(words: Sequence[str]) -> int:
    """Run the batch.

    Args:
        words: what follows `--` on the command line.

    Returns:
        The exit code.
    """
    words = ["--out" if word == "--output" else word.replace("--output=", "--out=", 1) for word in words]
    python, words = _python(words)
    launch = plan_launch(python)
    if not _has_core(launch):
        print(
            f"medfm_batch: {launch.python} cannot import medfm_core; open the module MedFM once and install what it "
            "asks for, or give --python PATH.",
            file=sys.stderr,
        )
        return _MISSING
    return _run(launch, words)


def _python(words: list[str]) -> tuple[str, list[str]]:
    """The Python that was asked for, and the other words."""
    if "--python" in words[:-1]:
        place = words.index("--python")
        return words[place + 1], [*words[:place], *words[place + 2 :]]
    return "", words


def _has_core(launch: Launch) -> bool:
    """Whether the runtime and torch are there; torch is not loaded for this, which takes seconds."""
    script = "import importlib.util, medfm_core.cli; assert importlib.util.find_spec('torch')"
    try:
        command = launch.command("-c", script)
        done = subprocess.run(command, env=dict(launch.environment), capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def _run(launch: Launch, words: Sequence[str]) -> int:
    """Run `medfm batch`, and let it stop cleanly when this is stopped."""
    command = launch.command("-m", "medfm_core.cli", "batch", *words)
    process = subprocess.Popen(command, env=dict(launch.environment))  # noqa: S603 the Python that the user chose
    try:
        return process.wait()
    except KeyboardInterrupt:
        with suppress(OSError, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
            return process.wait(_STOPS_WITHIN_S)
        process.kill()
        return 130


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(given[1:] if given[:1] == ["--"] else given))
