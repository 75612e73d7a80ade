"""A child process whose output lines are read by threads and handed out on demand.

Another transport, such as one on Qt's processes, may take its place.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from typing import IO, Protocol

from .launch import Launch

KILLED_WITHIN_S = 1.0
_KEPT_LINES, _KEPT_CHARACTERS = 200, 500


class Transport(Protocol):
    """What the client needs of a process; a QProcess can be wrapped the same way."""

    def send(self, line: bytes) -> bool:
        """Write to its standard input; whether it could be."""

    def receive(self) -> list[bytes]:
        """The lines that came since the last call, without waiting."""

    def exit_code(self) -> int | None:
        """None while it runs or lines are left to receive."""

    def log(self) -> tuple[str, ...]:
        """The last lines of its standard error."""

    def stop(self, patience_s: float) -> None:
        """End its standard input, wait a little, then kill it; afterwards it is gone."""


class PipeTransport:
    """A process on pipes.

    Args:
        launch: the Python and its environment.
        arguments: of the Python.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, launch: Launch, arguments: tuple[str, ...]) -> None:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        separate = {"creationflags": flags} if os.name == "nt" else {"start_new_session": True}
        self._process = subprocess.Popen(  # noqa: S603 the Python that the user chose, no shell
            launch.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(launch.environment),
            **separate,
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self._keep), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def process_id(self) -> int:
        """Its number."""
        return self._process.pid

    def send(self, line: bytes) -> bool:
        """Write to its standard input; whether it could be."""
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def receive(self) -> list[bytes]:
        """The lines that came since the last call."""
        lines = []
        with suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        return lines

    def exit_code(self) -> int | None:
        """None while it runs or lines are left to receive."""
        if self._readers[0].is_alive() or not self._lines.empty():
            return None
        return self._process.poll()

    def log(self) -> tuple[str, ...]:
        """The last lines of its standard error."""
        return tuple(self._log)

    def stop(self, patience_s: float = 0.5) -> None:
        """End its standard input, wait a little, then kill it."""
        with suppress(OSError, ValueError):
            self._process.stdin.close()
        if not self._wait(patience_s):
            self._kill()
            self._wait(KILLED_WITHIN_S)

    def _wait(self, seconds: float) -> bool:
        last = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < last:
            time.sleep(0.01)
        return self._process.poll() is not None

    def _kill(self) -> None:
        if os.name == "nt":
            command = ["taskkill", "/F", "/T", "/PID", str(self._process.pid)]
            subprocess.run(command, capture_output=True, check=False)  # noqa: S603
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self, stream: IO[bytes], take: object) -> None:
        with suppress(OSError, ValueError), stream:
            for line in stream:
                take(line)

    def _keep(self, line: bytes) -> None:
        self._log.append(line.decode("utf-8", "replace").rstrip()[:_KEPT_CHARACTERS])
