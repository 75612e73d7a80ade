"""A worker on pipes, as a caller that knows nothing of MedFM's own client would hold it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 120.0  # for machines on which everything else runs too; nothing here takes more than seconds by itself


class WorkerPipe:
    """Starts `python -m medfm_core.worker`; `events` holds what it said."""

    def __init__(self, environment: Mapping[str, str], prepare: Callable[[], None] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "medfm_core.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
            preexec_fn=prepare,
            start_new_session=True,
        )
        self.events: list[dict[str, Any]] = []
        self._arrived: queue.Queue[bytes | None] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._arrived.put(line)
        self._arrived.put(None)

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def ask(self, name: str, **arguments: Any) -> str:
        self._number += 1
        request_id = f"r{self._number}"
        request = {"version": 1, "id": request_id, "request": name, "arguments": arguments}
        self.write(json.dumps(request).encode() + b"\n")
        return request_id

    def until(self, *kinds: str, request_id: str | None = None) -> dict[str, Any]:
        """The next event of one of these kinds, and of a request where one is named."""
        while True:
            line = self._arrived.get(timeout=LIMIT_S)
            assert line is not None, "the worker ended"
            event = json.loads(line)
            assert event["version"] == 1
            self.events.append(event)
            if event["event"] in kinds and request_id in (None, event.get("id")):
                return event

    def answer(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Ask, and wait for the closing event."""
        return self.until("result", "error", "cancelled", request_id=self.ask(name, **arguments))

    def descendants(self) -> list[int]:
        return descendants(self.process.pid)


def descendants(process: int) -> list[int]:
    """Numbers of the living processes below one (Linux)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found, wave = [], [process]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        found += wave
    return found


def wait_until(condition: Callable[[], bool]) -> bool:
    last = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < last:
        time.sleep(0.02)
    return condition()


def is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def worker(environment: Mapping[str, str], prepare: Callable[[], None] | None = None) -> Iterator[WorkerPipe]:
    """A worker that is gone afterwards."""
    made = WorkerPipe(environment, prepare)
    try:
        yield made
    finally:
        with suppress(OSError, ValueError):
            made.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            made.process.wait(10)
        made.process.kill()
        made.process.wait()
