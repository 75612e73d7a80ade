"""Names for what is being written, and clearing away what a killed process left of it.

A part's name says which process of which machine makes it, so that the next start can tell work from leftovers.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_OWNED = re.compile(r"\.part-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}(-.*)?")
_ANY = ".part-*"
_FOREIGN_S = 24 * 3600.0
_CLOCK_S = 60.0  # the disk may be another machine's, with a clock of its own


def part_name(name: str = "") -> str:
    """A hidden name for something in work, never given twice; it ends like `name`."""
    return f".part-{_machine()}-{os.getpid()}-{secrets.token_hex(6)}" + (f"-{name[-100:]}" if name else "")


def sweep_parts(folder: Path, places: str = "") -> int:
    """Remove the parts in a folder that nobody is working on any more.

    Those of a process of this machine go when it has ended, which is also so when its number belongs to a process that
    started after the part was last changed. Those of another machine, and of unknown origin, go after a day.

    Args:
        folder: where to look; one that is not there has none.
        places: pattern of the folders within it to look into, such as `??`; by default `folder` alone.

    Returns:
        How many were removed.
    """
    count = 0
    pattern = f"{places}/{_ANY}" if places else _ANY
    for path in sorted(folder.glob(pattern)):
        with suppress(OSError):
            if not _is_left(path):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
            count += 1
    return count


def _is_left(path: Path) -> bool:
    changed = path.lstat().st_mtime
    owner = _OWNED.fullmatch(path.name)
    if owner is None or owner[1] != _machine() or os.name == "nt":  # signal 0 would interrupt a process there
        return time.time() - changed > _FOREIGN_S
    process = int(owner[2])
    if process == os.getpid():
        started = _start_time(process)
        return started is not None and started > changed + _CLOCK_S
    if not is_alive(process):
        return True
    started = _start_time(process)
    return time.time() - changed > _FOREIGN_S if started is None else started > changed + _CLOCK_S


def is_alive(process: int) -> bool:
    """Whether a process of this machine is there; where the system does not tell, it is taken to be."""
    if os.name == "nt":  # signal 0 would interrupt the process there
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _start_time(process: int) -> float | None:
    """When a process started, in seconds since 1970; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(encoding="ascii"), re.MULTILINE)
        return int(boot[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, TypeError):
        return None


@lru_cache(maxsize=1)
def _machine() -> str:
    """Eight digits that stand for this machine, and not its name: folders may be shared with others."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
