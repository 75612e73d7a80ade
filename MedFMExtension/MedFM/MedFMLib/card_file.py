"""A model that is named by the file of its card, as `medfm analyze --model PATH` takes it."""

from __future__ import annotations

from dataclasses import replace

from .asking import Asking
from .client import WorkerClient
from .model_line import BRAINS, FINDINGS, ORGANS, ModelLine, line_of
from .signals import Signal


class CardFile:
    """The card that the user named, as the worker reads it.

    Args:
        client: the worker.

    Attributes:
        path: the card's file; "" for none.
        line: the model, with the path as its id; None where there is none, or it was not read yet.
        changed: called when `line` or `problem` changed.
        chosen: called with the model once a path that the user has just named was read.
    """

    def __init__(self, client: WorkerClient) -> None:
        self.path, self.line = "", None
        self.changed, self.chosen = Signal(), Signal()
        self._is_new = False
        self._asking: Asking[ModelLine] = Asking(client, "model", lambda event: line_of(event["summary"]))
        self._asking.changed.connect(self._on_answer)

    @property
    def problem(self) -> str:
        """Why the card cannot be used, one sentence; "" where it can, or there is none."""
        if self.line is None:
            return self._asking.problem
        if self.line.task not in (ORGANS, FINDINGS, BRAINS):
            return f"{self.line.title} is a model for {self.line.task.replace('_', ' ')}, which the panel does not run."
        return "" if self.line.is_here else f"The weights of {self.line.title} are not here: fetch or import them."

    def name(self, path: str, is_new: bool = True) -> None:
        """Name a card; it is read when the models are listed next.

        Args:
            path: its file; "" for none.
            is_new: whether its model is to be chosen once it was read, or was named in an earlier session.
        """
        self.path, self._is_new = path, is_new and bool(path)
        self.line: ModelLine | None = None
        self._asking.forget()

    def refresh(self) -> None:
        """Read the card."""
        if self.path:
            self._asking.ask({"model": self.path})

    def _on_answer(self) -> None:
        found = self._asking.answer
        if found is not None:
            self.line = replace(found, id=self.path, is_default=False)
        elif not self._asking.is_busy:
            self.line = None
        self.changed.emit()
        if found is not None and self._is_new:
            self._is_new = False
            if not self.problem:
                self.chosen.emit(self.line)
