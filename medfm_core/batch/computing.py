"""The process that computes a batch's cases: one request after the other, and it may die without harm."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from medfm_core.progress import Progress, Stage
from medfm_core.worker.lane import CLOSING, Lane
from medfm_core.worker.protocol import Request

STEPS = 100  # of the bar per case
_POLL_S, _STOPS_WITHIN_S = 0.2, 3.0


class Computing:
    """A lane of the worker, started when it is first asked.

    Args:
        progress: may cancel.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._events: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._lane = Lane("compute", lambda line: self._events.put(json.loads(line)))
        self._asked = 0

    def close(self) -> None:
        """End the process."""
        self._lane.close()

    def ask(self, name: str, arguments: Mapping[str, Any], stage: Stage) -> Mapping[str, Any]:
        """Let the process do something.

        Args:
            name: of the worker's request.
            arguments: of it.
            stage: of the batch; it is advanced by `STEPS` at most.

        Returns:
            The closing event.

        Raises:
            CancelledError, KeyboardInterrupt: stopped; nothing of the request is left.
        """
        self._asked += 1
        request_id = str(self._asked)
        self._lane.submit(Request(request_id, name, arguments))
        try:
            return self._until_closed(request_id, stage)
        except BaseException:
            self._stop(request_id)
            raise

    def _until_closed(self, request_id: str, stage: Stage) -> Mapping[str, Any]:
        begin = stage.done
        while True:
            self._progress.check()
            with suppress(queue.Empty):
                event = self._events.get(timeout=_POLL_S)
                if event["id"] == request_id and event["event"] == "progress":
                    stage.advance(max(0, begin + int(STEPS * event["fraction"]) - stage.done))
                elif event["id"] == request_id and event["event"] in CLOSING:
                    return event

    def _stop(self, request_id: str) -> None:
        """Cancel, and wait until nothing of the case is left."""
        last = time.monotonic() + _STOPS_WITHIN_S
        self._lane.cancel(request_id)
        while self._lane.knows(request_id) and time.monotonic() < last:
            time.sleep(0.02)
