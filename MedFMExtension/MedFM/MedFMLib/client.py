"""Talks to the worker: starts it when it is needed, hands events on, and notices when it dies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .launch import WORKER, Launch
from .signals import Signal
from .transport import PipeTransport, Transport

PROTOCOL = 1
CLOSING = ("result", "error", "cancelled")
_MOST_FRUITLESS_STARTS = 2

OnEvent = Callable[[Mapping[str, Any]], None]


class WorkerState(Enum):
    """Where the worker is.

    OFF until something is asked; STARTING until it says hello; BROKEN when it cannot be started or is of another
    release: `problem` says why, and `restart` tries again.
    """

    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    BROKEN = "broken"


@dataclass(frozen=True)
class Device:
    """A device that the worker can compute on; memory in bytes, None where it is not known."""

    name: str
    title: str
    total: int | None = None
    free: int | None = None


class WorkerClient:
    """One worker, started again after its death by the next request.

    Every request gets exactly one closing event ("result", "error" or "cancelled"), also when the worker dies.

    Args:
        launch: makes what the worker is started with; asked before every start, so that new settings count.
        open_transport: starts a process; by default on pipes.

    Attributes:
        changed: called when `state`, `hello`, `devices` or `problem` changed.
        hello: what the worker said of itself; empty before.
        devices: what it can compute on; None until it said.
        problem: why it cannot be used, one sentence.
    """

    def __init__(
        self,
        launch: Callable[[], Launch],
        open_transport: Callable[[Launch, tuple[str, ...]], Transport] = PipeTransport,
    ) -> None:
        self._launch, self._open_transport = launch, open_transport
        self._transport: Transport | None = None
        self._waiting: dict[str, OnEvent] = {}
        self._numbers, self._fruitless, self._log = itertools.count(1), 0, ()
        self.state, self.changed = WorkerState.OFF, Signal()
        self.hello: Mapping[str, Any] = {}
        self.devices: tuple[Device, ...] | None = None
        self.problem = ""

    def request(self, name: str, arguments: Mapping[str, Any], on_event: OnEvent) -> str:
        """Ask for something.

        Args:
            name: of the request.
            arguments: its arguments, JSON values.
            on_event: gets the request's events from `pump`; the closing one also when the worker cannot be started.

        Returns:
            The request's id, for `cancel`.
        """
        request_id = str(next(self._numbers))
        self._waiting[request_id] = on_event
        if self.state is not WorkerState.BROKEN and self._transport is None:
            self._start()
        self._send({"id": request_id, "request": name, "arguments": dict(arguments)})
        return request_id

    def cancel(self, request_id: str) -> None:
        """Stop a request; its closing event comes when nothing of it is left. One that is closed is passed over."""
        if request_id in self._waiting:
            self._send({"id": str(next(self._numbers)), "request": "cancel", "arguments": {"id": request_id}})

    def pump(self) -> bool:
        """Hand on what has come, on the caller's thread.

        Returns:
            Whether anything is still awaited.
        """
        if self._transport is not None:
            for line in self._transport.receive():
                self._take(line)
        if self._transport is not None and self._transport.exit_code() is not None:
            self._died(self._transport.exit_code())
        if self._transport is None and self._waiting:
            self._close_all(self.problem or "The worker could not be started.")
        return bool(self._waiting) or self.state is WorkerState.STARTING or self._awaits_devices

    def start(self) -> None:
        """Start the worker before anything is asked of it."""
        if self._transport is None and self.state is not WorkerState.BROKEN:
            self._start()

    def restart(self) -> None:
        """End the worker and everything it does, and start it with the settings of now."""
        self.stop()
        self._fruitless, self.problem, self.state = 0, "", WorkerState.OFF
        self._start()

    def stop(self, patience_s: float = 0.5) -> None:
        """End the worker within two seconds, and with it all that it does; waiting requests are closed as cancelled."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.send(_line({"id": "0", "request": "shutdown", "arguments": {}}))
            transport.stop(patience_s)
            self._log = transport.log()
        if self.state is not WorkerState.BROKEN:
            self.state = WorkerState.OFF
        waiting, self._waiting = self._waiting, {}
        for request_id, on_event in waiting.items():
            on_event({"event": "cancelled", "id": request_id})
        self.changed.emit()

    def log(self) -> tuple[str, ...]:
        """The last lines that the worker and its libraries wrote for people to read."""
        return self._transport.log() if self._transport is not None else tuple(self._log)

    @property
    def process_id(self) -> int | None:
        """The worker's number, where it runs on pipes."""
        return getattr(self._transport, "process_id", None)

    @property
    def _awaits_devices(self) -> bool:
        return self._transport is not None and self.devices is None

    def _start(self) -> None:
        self.hello, self.devices, self.state = {}, None, WorkerState.STARTING
        try:
            self._transport = self._open_transport(self._launch(), WORKER)
        except (OSError, ValueError) as error:
            self._break(f"The Python that computes cannot be started ({error}). Choose another one under Advanced.")
        self.changed.emit()

    def _send(self, data: dict[str, Any]) -> None:
        if self._transport is not None:
            self._transport.send(_line(data))  # a worker that cannot be written to is gone, as `pump` will notice

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, request_id = event["event"], event.get("id")
        except (ValueError, TypeError, KeyError, AttributeError):
            return  # not ours: something wrote past the worker's protection of its output
        if kind == "hello":
            self._greeted(event)
        elif kind == "devices":
            self.devices = tuple(Device(d["name"], d["title"], d.get("total"), d.get("free")) for d in event["devices"])
            self.problem = event.get("problem", "")
            self.changed.emit()
        elif request_id in self._waiting:
            on_event = self._waiting.pop(request_id) if kind in CLOSING else self._waiting[request_id]
            on_event(event)

    def _greeted(self, event: Mapping[str, Any]) -> None:
        self.hello, self._fruitless = event, 0
        if event.get("protocol") == PROTOCOL:
            self.state = WorkerState.READY
            self.changed.emit()
            return
        transport, self._transport = self._transport, None
        transport.stop(0.0)
        self._break(
            f"The worker speaks version {event.get('protocol')} of the protocol and this panel version {PROTOCOL}. "
            "Install the panel and medfm of one release."
        )
        self.changed.emit()

    def _died(self, code: int) -> None:
        """Close what it was asked; it is started again by the next request, unless it never comes to say hello."""
        transport, self._transport = self._transport, None
        self._log = transport.log()
        was_ready = self.state is WorkerState.READY
        transport.stop(0.0)
        self._fruitless = 0 if was_ready else self._fruitless + 1
        self.state, self.devices = WorkerState.OFF, None
        sentence = f"The worker ended unexpectedly ({_why(code)}). Run again to start it anew."
        if not was_ready:
            last = next((line for line in reversed(self._log) if line.strip()), "it gave no reason")
            sentence = f"The worker could not start ({last}). See the install page."
            if self._fruitless >= _MOST_FRUITLESS_STARTS:
                self._break(sentence)
        self.problem = sentence
        self._close_all(sentence)
        self.changed.emit()

    def _break(self, sentence: str) -> None:
        self.state, self.problem = WorkerState.BROKEN, sentence

    def _close_all(self, sentence: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for request_id, on_event in waiting.items():
            on_event({"event": "error", "id": request_id, "kind": "WorkerDied", "sentence": sentence, "exit_code": 1})


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps({"version": PROTOCOL, **data}).encode("ascii") + b"\n"


def _why(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
