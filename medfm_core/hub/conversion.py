"""Foreign checkpoints become safetensors, once, in a process of their own.

The process that reads a stranger's file has no keys in its environment, may write no file larger than the network is,
and is ended when it takes too long. It reads tensors and plain containers only, and maps them from the disk.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from medfm_core.card_sources import Conversion
from medfm_core.errors import MedFMError, ResourceError, WeightsError
from medfm_core.hub.places import check_room
from medfm_core.io.atomic import atomic_write
from medfm_core.settings import worker_environment
from medfm_core.strict import to_dict

LONGEST_S = 1800.0
_ROOT = Path(__file__).resolve().parents[2]
_WIDEST_BYTES = 8
_HEADER_BYTES = 100_000_000
_KINDS: dict[str, type[MedFMError]] = {"WeightsError": WeightsError, "ResourceError": ResourceError}


def convert_checkpoint(
    source: Path,
    target: Path,
    conversion: Conversion,
    expected: Mapping[str, Sequence[int]],
    source_sha256: str,
) -> None:
    """Write a checkpoint's tensors as safetensors, under the network's names.

    Args:
        source: the checkpoint: a zip file of torch.save, or safetensors.
        target: the file to make; an older one is replaced.
        conversion: where in the checkpoint the tensors are, and the rules for their names.
        expected: name to shape of the network's tensors, nothing more and nothing less.
        source_sha256: of the checkpoint; it is written into the file.

    Raises:
        WeightsError: it holds something besides tensors and plain containers, or other tensors than the network has.
        ResourceError: it took too long, or memory or disk ran out.

    Source: anchors spec, section E1.
    """
    largest = _HEADER_BYTES + _WIDEST_BYTES * sum(math.prod(shape) for shape in expected.values())
    check_room(target.parent, min(largest, 2 * source.stat().st_size))
    with atomic_write(target) as part:
        order = {
            "source": str(source.resolve()),
            "target": str(part.resolve()),
            "conversion": to_dict(conversion, defaults=True),
            "expected": {name: list(shape) for name, shape in expected.items()},
            "source_sha256": source_sha256,
            "largest_bytes": largest,
        }
        _run(order, conversion.file)
        part.chmod(0o644)


def _run(order: Mapping[str, object], name: str) -> None:
    command = [sys.executable, "-m", "medfm_core.hub.conversion_worker"]
    try:
        done = subprocess.run(  # noqa: S603 our own module, no shell
            command,
            input=json.dumps(order),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=LONGEST_S,
            env=_environment(),
            cwd=_ROOT,  # where it looks for modules first: never a folder with a stranger's files
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ResourceError(f"converting {name} took more than {LONGEST_S / 60:.0f} minutes", "report it") from error
    answer = _answer(done.stdout)
    if answer is None:
        why = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with code {done.returncode}"
        raise ResourceError(f"the process that converts {name} {why}", "free some memory and try again")
    if not answer.get("done"):
        kind = _KINDS.get(str(answer.get("kind")), WeightsError)
        raise kind(f"{name}: {answer.get('what')}", str(answer.get("fix", "")))


def _environment() -> dict[str, str]:
    """Ours without keys, with this package on the path wherever it was imported from."""
    environment = worker_environment()
    before = environment.get("PYTHONPATH")
    return environment | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{before}" if before else str(_ROOT)}


def _answer(text: str) -> dict[str, object] | None:
    """The last line of the process's output, which is its answer as JSON."""
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
