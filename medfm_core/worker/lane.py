"""A process that does one job after the other, seen from the process that gives it jobs. No torch here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medfm_core.io.parts import sweep_parts
from medfm_core.settings import child_environment
from medfm_core.worker.protocol import Request, encode

GRACE_S = 0.8
CLOSING = ("result", "error", "cancelled")
_ROOT = Path(__file__).resolve().parents[2]
_Emit = Callable[[bytes], None]


@dataclass
class _Job:
    """A request that was handed over; `missing` are folders that were not there before it."""

    request: Request
    missing: tuple[Path, ...] = ()
    is_cancelled: bool = False
    timer: threading.Timer | None = field(default=None, repr=False)


class Lane:
    """Gives requests to one process, passes its events on, and ends it where it must.

    Every request given to `submit` gets exactly one closing event: "result", "error" or "cancelled".

    Args:
        name: which jobs the process can do: "compute", "weights" or "quick".
        emit: takes each event as a line; called from threads of the lane, one at a time.
        ready: takes what the process says of itself when it has started.
        command: starts the process; by default `medfm_core.worker.process`.
    """

    def __init__(
        self,
        name: str,
        emit: _Emit,
        ready: Callable[[Mapping[str, Any]], None] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._name, self._emit, self._ready = name, emit, ready
        self._command = command or (sys.executable, "-m", "medfm_core.worker.process", name)
        self._waiting: deque[Request] = deque()
        self._job: _Job | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._is_closed = False
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start the process before there is anything to do."""
        with self._lock:
            if self._process is None and not self._is_closed:
                self._start()

    def submit(self, request: Request) -> None:
        """Do a request after those before it."""
        with self._lock:
            self._waiting.append(request)
            self._next()

    def knows(self, request_id: str) -> bool:
        """Whether a request is waiting or being done."""
        with self._lock:
            return any(r.id == request_id for r in self._waiting) or (
                self._job is not None and self._job.request.id == request_id
            )

    def cancel(self, request_id: str) -> bool:
        """Stop a request; its closing event comes when nothing of it is left, at most `GRACE_S` and a kill later.

        Returns:
            Whether it was waiting or being done.
        """
        with self._lock:
            for request in self._waiting:
                if request.id == request_id:
                    self._waiting.remove(request)
                    self._emit(encode({"event": "cancelled", "id": request_id}))
                    return True
            job = self._job
            if job is None or job.request.id != request_id:
                return False
            if not job.is_cancelled:
                job.is_cancelled = True
                self._write(encode({"cancel": request_id}))
                job.timer = threading.Timer(GRACE_S, self._kill, (self._process,))
                job.timer.daemon = True
                job.timer.start()
            return True

    def close(self) -> None:
        """End the process and whatever it does; what waits is dropped without an event."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._kill(self._process)
            reader = self._reader
        if reader is not None and reader is not threading.current_thread():
            reader.join(5.0)

    def _next(self) -> None:
        if self._job is not None or not self._waiting or self._is_closed:
            return
        request = self._waiting.popleft()
        self._job = _Job(request, _missing_parents(request))
        try:
            if self._process is None:
                self._start()
            self._emit(encode({"event": "started", "id": request.id}))
            self._write(request.line())
        except OSError as error:
            self._job = None
            self._emit(_crashed(request.id, f"could not be started ({error.strerror})"))
            self._next()

    def _start(self) -> None:
        separate = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        self._process = subprocess.Popen(  # noqa: S603 our own module, no shell
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(_ROOT),
            **(separate if os.name == "nt" else {"start_new_session": True}),
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name=self._name, daemon=True)
        self._reader.start()
        threading.Thread(target=_end_children, args=(self._process,), daemon=True).start()

    def _write(self, line: bytes) -> None:
        """Hand a line over; a process that is gone is noticed by the reader."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._lock:
                self._take(line)
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()
        with self._lock:
            self._ended(code)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, request_id = event["event"], event["id"]
        except (ValueError, TypeError, KeyError):  # the beginning of a line, or what was printed before Python started
            return
        if kind == "ready":
            if self._ready is not None:
                self._ready(event)
            return
        job = self._job
        if job is None or request_id != job.request.id:
            return
        if kind in CLOSING:
            if job.timer is not None:
                job.timer.cancel()
            self._job = None
        self._emit(line)
        self._next()

    def _ended(self, code: int) -> None:
        """The process is gone: close its job, clear up, and go on with what waits."""
        self._process, job, self._job = None, self._job, None
        if job is None:
            self._next()
            return
        if job.timer is not None:
            job.timer.cancel()
        _clear_up(job)
        if job.is_cancelled:
            self._emit(encode({"event": "cancelled", "id": job.request.id}))
        elif not self._is_closed:
            why = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            self._emit(_crashed(job.request.id, why, is_memory=code == -9))
        self._next()

    def _kill(self, process: subprocess.Popen[bytes] | None) -> None:
        """End a process and all its children."""
        if process is None or process.poll() is not None:
            return
        if os.name == "nt":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)  # noqa: S603, S607
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _end_children(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process, then end what it left running, which would hold its output open."""
    process.wait()
    if os.name != "nt":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _crashed(request_id: str, why: str, is_memory: bool = False) -> bytes:
    fix = "free some memory or use a smaller scan, and try again" if is_memory else "try again, and report it"
    return encode(
        {
            "event": "error",
            "id": request_id,
            "kind": "Crashed",
            "sentence": f"The process that computes {why}; {fix}.",
            "exit_code": 3 if is_memory else 1,
        }
    )


def _out(request: Request) -> Path | None:
    out = request.arguments.get("out")
    return Path(out).absolute() if isinstance(out, str) and out and "\0" not in out else None


def _missing_parents(request: Request) -> tuple[Path, ...]:
    out = _out(request)
    with suppress(OSError):
        return tuple(parent for parent in out.parents if not parent.exists()) if out else ()
    return ()


def _clear_up(job: _Job) -> None:
    """Remove what a process that was killed left of its output; it is gone, so nobody works on it."""
    out = _out(job.request)
    if out is None:
        return
    with suppress(OSError):
        sweep_parts(out.parent)
    for folder in job.missing:
        with suppress(OSError):
            folder.rmdir()
