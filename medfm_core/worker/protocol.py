"""The lines that go in and out: one JSON object each, UTF-8, ended by a line feed. No torch here.

A request:  {"version": 1, "id": "7", "request": "plan", "arguments": {"source": "ct.nii.gz"}}
An event:   {"version": 1, "id": "7", "event": "result", ...}
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from medfm_core.errors import InputError

PROTOCOL = 1
LONGEST_LINE_BYTES = 1 << 20
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_KEYS = {"version", "id", "request", "arguments"}


class ProtocolError(InputError):
    """A line that is no request."""

    def __init__(self, what: str, fix: str = "", request_id: str | None = None) -> None:
        super().__init__(what, fix)
        self.request_id = request_id


@dataclass(frozen=True)
class Request:
    """What a line asks for: `id` is the caller's own, and comes back with every event."""

    id: str
    name: str
    arguments: Mapping[str, Any]

    def line(self) -> bytes:
        """The request as it goes over a pipe."""
        return encode({"id": self.id, "request": self.name, "arguments": dict(self.arguments)})


def parse_request(line: bytes) -> Request:
    """Read one line.

    Args:
        line: with or without its line feed.

    Raises:
        ProtocolError: it is no request of this version; `request_id` is its id where it has a usable one.
    """
    data = _object(line)
    request_id = data.get("id")
    known = request_id if isinstance(request_id, str) and _ID.fullmatch(request_id) else None
    if data.get("version") != PROTOCOL:
        raise ProtocolError(
            f"a request of version {_short(data.get('version'))} came, and this worker speaks version {PROTOCOL}",
            "use the worker and the panel of one release",
            known,
        )
    if known is None:
        raise ProtocolError(
            f"the id {_short(request_id)} is none", "give each request 1 to 64 letters, digits and any of . : _ -"
        )
    name, arguments = data.get("request"), data.get("arguments", {})
    unknown = sorted(set(data) - _KEYS)
    if not isinstance(name, str) or not isinstance(arguments, dict) or unknown:
        problem = f"has an unknown key {_short(unknown[0])}" if unknown else 'lacks "request" or "arguments"'
        raise ProtocolError(f"the request {known} {problem}", "see docs/worker.md", known)
    return Request(known, name, arguments)


def encode(data: Mapping[str, Any]) -> bytes:
    """One line of ASCII; what a path holds that is no text survives as escapes."""
    return json.dumps({"version": PROTOCOL, **data}, allow_nan=False).encode("ascii") + b"\n"


def read_lines(stream: BinaryIO) -> Iterator[bytes | ProtocolError]:
    """The lines of a stream until its end; in place of one that is too long an error, and nothing of it is kept."""
    while line := stream.readline(LONGEST_LINE_BYTES + 1):
        if len(line) <= LONGEST_LINE_BYTES:
            if line.strip():
                yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE_BYTES)
        yield ProtocolError(f"a line of more than {LONGEST_LINE_BYTES:,} bytes came", "send shorter requests")


class Outlet:
    """Where events go. Only one may be made per process, by `take`.

    Args:
        stream: what the caller reads.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock, self.is_open = stream, threading.Lock(), True

    @classmethod
    def take(cls) -> Outlet:
        """Keep standard output for events alone: what libraries print, from Python or C, goes to standard error."""
        sys.stdout.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        return cls(os.fdopen(kept, "wb", buffering=0))

    def event(self, event: str, request_id: str | None = None, **fields: Any) -> None:
        """Write an event; `is_open` says afterwards whether anybody reads."""
        self.pass_on(encode({"event": event, "id": request_id, **fields}))

    def pass_on(self, line: bytes) -> None:
        """Write a line that is an event already."""
        with self._lock:
            try:
                while line:
                    line = line[self._stream.write(line) or 0 :]
            except (OSError, ValueError):
                self.is_open = False


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a line that is no JSON came", "send one JSON object a line, in UTF-8") from error
    if not isinstance(data, dict):
        raise ProtocolError("a line that is no JSON object came", "send one JSON object a line")
    return data


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
