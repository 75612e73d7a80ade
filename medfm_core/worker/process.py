"""`python -m medfm_core.worker.process LANE`: what a lane runs; started by `lane.Lane` and by nobody else.

The main thread computes. A second one reads: it notes what is cancelled, and ends the whole process group when the
supervisor is gone, so that nothing computes on for nobody.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial

from medfm_core.allocator import keep_freed_blocks, release
from medfm_core.errors import MedFMError
from medfm_core.progress import CancelledError
from medfm_core.worker.protocol import Outlet, Request
from medfm_core.worker.requests import arguments_of, kind_of
from medfm_core.worker.telling import Telling

_LAST_WORDS_S = 0.5


class _Inbox:
    """Requests as they come, and which of them are cancelled."""

    def __init__(self) -> None:
        self.requests: queue.Queue[Request | None] = queue.Queue()
        self.cancelled: set[str] = set()
        self.is_ended = threading.Event()

    def read(self) -> None:
        """Read until the supervisor is gone; then let the job stop by itself, and end it if it does not."""
        for line in sys.stdin.buffer:
            data = json.loads(line)
            if "cancel" in data:
                self.cancelled.add(data["cancel"])
            else:
                self.requests.put(Request(data["id"], data["request"], data["arguments"]))
        self.is_ended.set()
        self.requests.put(None)
        time.sleep(_LAST_WORDS_S)
        _end_group()

    def is_unwanted(self, request_id: str) -> bool:
        """Whether a request need not be done any more."""
        return request_id in self.cancelled or self.is_ended.is_set()


class _Warnings(logging.Handler):
    """Passes what MedFM logs on as events of the job that is being done."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(logging.WARNING)
        self.outlet, self.request_id = outlet, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        if self.request_id:
            text = record.getMessage()
            self.outlet.event("log", self.request_id, level=record.levelname.lower(), text=text)


def main() -> int:
    """Do jobs until there are no more."""
    keep_freed_blocks()
    outlet, inbox = Outlet.take(), _Inbox()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides
    threading.Thread(target=inbox.read, name="inbox", daemon=True).start()
    warnings = _Warnings(outlet)
    logging.getLogger("medfm_core").addHandler(warnings)
    outlet.event("ready", **_introduction(sys.argv[1]))
    while (request := inbox.requests.get()) is not None:
        warnings.request_id = request.id
        _do(request, outlet, inbox)
        warnings.request_id = ""
        gc.collect()
        release()
    return 0


def _do(request: Request, outlet: Outlet, inbox: _Inbox) -> None:
    tell = partial(_tell, outlet, request.id)
    try:
        arguments = arguments_of(request)
        telling = Telling(tell, partial(inbox.is_unwanted, request.id))
        telling.check()
        tell("result", **kind_of(request).function()(arguments, telling))
    except CancelledError:
        tell("cancelled")
    except MedFMError as error:
        tell("error", kind=type(error).__name__, sentence=str(error), exit_code=error.exit_code)
    except MemoryError:
        tell("error", kind="ResourceError", sentence="The memory did not suffice; close other programs.", exit_code=3)
    except Exception as error:
        logging.getLogger(__name__).debug("request %s", request.name, exc_info=True)
        what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        tell("error", kind="Unexpected", sentence=f"Unexpected error ({what}); please report it.", exit_code=1)


def _tell(outlet: Outlet, request_id: str, event: str, **fields: object) -> None:
    outlet.event(event, request_id, **fields)


def _introduction(lane: str) -> dict[str, object]:
    """What the supervisor is told of this process; torch is imported by the lane that computes."""
    if lane != "compute":
        return {}
    try:
        import torch

        from medfm_core.machine import devices

        listed = [vars(device) for device in devices()]
        return {"torch": str(torch.__version__), "devices": listed, "problem": ""}
    except Exception as error:  # half-installed packages fail in many ways
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"torch": None, "devices": [], "problem": f"PyTorch cannot be used ({what})."}


def _end_group() -> None:
    """End this process and its children; the group is ours alone."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        with suppress(OSError):
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
