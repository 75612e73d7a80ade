"""Requests that have one answer: asked one at a time, each asking replaces the last one's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .client import WorkerClient
from .signals import Signal

T = TypeVar("T")


class Asking(Generic[T]):
    """One kind of request and its last answer.

    Args:
        client: the worker.
        name: of the request.
        read: makes the answer of a "result" event.

    Attributes:
        changed: called when one of the others changed.
        is_busy: whether an answer is awaited.
        answer: the last one; None before, and while a new one is awaited.
        problem: why there is none, one sentence; "" otherwise.
        fraction: how much is done, 0 to 1; None where it is not known.
        stage: what is being done.
    """

    def __init__(self, client: WorkerClient, name: str, read: Callable[[Mapping[str, Any]], T]) -> None:
        self._client, self._name, self._read = client, name, read
        self._request_id = ""
        self._turn: object = None
        self.changed = Signal()
        self._set()

    def _set(self, is_busy: bool = False, answer: T | None = None, problem: str = "") -> None:
        self.is_busy, self.answer, self.problem = is_busy, answer, problem
        self.fraction: float | None = None
        self.stage = ""

    def ask(self, arguments: Mapping[str, Any]) -> None:
        """Ask; an answer that is still awaited is cancelled."""
        self.cancel()
        self._set(is_busy=True)
        turn = self._turn = object()
        self._request_id = self._client.request(
            self._name, arguments, lambda event: self._take(event) if turn is self._turn else None
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Stop what is awaited."""
        if self.is_busy:
            self._client.cancel(self._request_id)

    def forget(self) -> None:
        """Stop what is awaited and have no answer."""
        self.cancel()
        self._turn = None
        self._set()
        self.changed.emit()

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            self.fraction = float(event["fraction"])
        elif kind == "stage":
            self.stage = event["name"] if event["state"] == "running" else self.stage
        elif kind == "result":
            try:
                self._set(answer=self._read(event))
            except (KeyError, TypeError, ValueError) as error:
                self._set(problem=f"The worker's answer cannot be read ({type(error).__name__}: {error}).")
        elif kind == "error":
            self._set(problem=str(event["sentence"]))
        elif kind == "cancelled":
            self._set(problem="Cancelled.")
        else:
            return
        self.changed.emit()
