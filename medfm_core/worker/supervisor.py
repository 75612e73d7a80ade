"""The process that a caller talks to: it reads requests, hands them to lanes, and ends with its standard input.

No torch here.
"""

from __future__ import annotations

import os
import platform
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from typing import Any, BinaryIO

from medfm_core import RESEARCH_USE, __version__
from medfm_core.errors import InputError
from medfm_core.worker.lane import Lane
from medfm_core.worker.protocol import PROTOCOL, Outlet, ProtocolError, Request, parse_request, read_lines
from medfm_core.worker.requests import LANES, arguments_of, kind_of


class Supervisor:
    """Answers requests until its input ends or it is told to shut down.

    Args:
        outlet: where events go.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._lines: queue.Queue[bytes | ProtocolError | None] = queue.Queue()
        self._lanes = {name: Lane(name, outlet.pass_on, partial(self._ready, name)) for name in LANES}

    def run(self, stream: BinaryIO) -> int:
        """Serve a stream of requests; the exit code."""
        threading.Thread(target=self._read, args=(stream,), name="requests", daemon=True).start()
        try:
            self._greet()
            self._lanes["compute"].start()
            while (line := self._lines.get()) is not None and self._outlet.is_open:
                if not self._serve(line):
                    break
        finally:
            for lane in self._lanes.values():
                lane.close()
        return 0

    def _read(self, stream: BinaryIO) -> None:
        try:
            for line in read_lines(stream):
                self._lines.put(line)
        finally:
            self._lines.put(None)

    def _ready(self, lane: str, facts: Mapping[str, Any]) -> None:
        """Tell the devices; importing torch to know them takes seconds, for which nothing else has to wait."""
        if lane == "compute":
            known = {key: facts[key] for key in ("torch", "devices", "problem")}
            self._outlet.event("devices", **known)

    def _greet(self) -> None:
        self._outlet.event(
            "hello",
            protocol=PROTOCOL,
            process=os.getpid(),
            medfm=__version__,
            notice=RESEARCH_USE,
            python=platform.python_version(),
            executable=sys.executable,
            torch=_installed("torch"),
        )

    def _serve(self, line: bytes | ProtocolError) -> bool:
        """Serve one line; whether to go on."""
        try:
            if isinstance(line, ProtocolError):
                raise line
            return self._do(parse_request(line))
        except ProtocolError as error:
            self._refuse(error, error.request_id)
        return True

    def _do(self, request: Request) -> bool:
        if any(lane.knows(request.id) for lane in self._lanes.values()):
            raise ProtocolError(f"the id {request.id} belongs to a request that is not done yet", "use another id")
        if request.name == "shutdown":
            self._outlet.event("result", request.id)
            return False
        if request.name == "cancel":
            self._cancel(request)
            return True
        kind = kind_of(request)
        try:
            arguments_of(request)
        except InputError as error:
            self._refuse(error, request.id)
            return True
        self._lanes[kind.lane].submit(request)
        return True

    def _cancel(self, request: Request) -> None:
        target = request.arguments.get("id")
        if not isinstance(target, str) or set(request.arguments) != {"id"}:
            raise ProtocolError('cancel takes one argument, "id"', "name the request to cancel", request.id)
        found = any(lane.cancel(target) for lane in self._lanes.values())
        self._outlet.event("result", request.id, found=found)

    def _refuse(self, error: InputError, request_id: str | None) -> None:
        self._outlet.event(
            "error", request_id, kind=type(error).__name__, sentence=str(error), exit_code=error.exit_code
        )


def main() -> int:
    """Serve standard input and output."""
    outlet = Outlet.take()
    supervisor = Supervisor(outlet)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return supervisor.run(sys.stdin.buffer)
    except KeyboardInterrupt:
        return 130


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
