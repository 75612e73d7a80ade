"""Around a run: running out of memory or disk, and what the run was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from medfm_core import machine
from medfm_core.errors import ResourceError
from medfm_core.io.atomic import write_error

_LIBRARIES = ("torch", "numpy", "SimpleITK", "nibabel", "pydicom")


def machine_facts() -> dict[str, Any]:
    """What a run was made with: versions, platform, threads, peak memory so far; nothing that names the machine."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    peak = machine.peak_memory()
    facts: dict[str, Any] = {"platform": f"{platform.system()} {platform.machine()}", "cores": machine.usable_cores()}
    if peak is not None:
        facts["peak_memory_gb"] = round(peak / 1e9, 2)
    return {**facts, "versions": versions}


@contextmanager
def plain_resource_errors(out: str | Path) -> Iterator[None]:
    """Turn running out of memory or disk into one sentence."""
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory() from error
    except OSError as error:
        raise write_error(error, out) from error
    except RuntimeError as error:
        text = str(error)
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "out of memory" in text:
            raise _out_of_memory() from error
        raise


def _out_of_memory() -> ResourceError:
    free = machine.memory().free / 1e9
    return ResourceError(
        f"the memory did not suffice ({free:.1f} GB are free now)",
        "close other programs, use --device cpu, or give a smaller part of the scan",
    )
