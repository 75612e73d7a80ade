"""The models there are, and their weights: fetched, verified, imported, removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .asking import Asking
from .card_file import CardFile
from .client import WorkerClient
from .model_line import ModelLine, line_of
from .signals import Signal


@dataclass(frozen=True)
class WeightsView:
    """What the weights manager shows.

    Attributes:
        models: all of them.
        cache: folder of fetched files.
        is_offline: whether no connection may be opened.
        free: free space of that disk, for the user.
        busy_with: id of the model that is being worked on, "" for none; "all" while all are verified.
        stage: what is being done with it.
        percent: how much of it is done; None where it is not known.
        message: how the last action ended.
    """

    models: tuple[ModelLine, ...]
    cache: str
    is_offline: bool
    free: str
    busy_with: str
    stage: str
    percent: int | None
    message: str


class WeightsModel:
    """Lists the models and works on one at a time.

    Attributes:
        changed: called when `view()` changed.
        listed: called when the list of models was read anew.
        licence: asks for what must be accepted of a model; its answer is a title, a question and the licence's text.
        card: the model whose card is a file of the user's; listed behind the others.
    """

    def __init__(self, client: WorkerClient) -> None:
        self.changed, self.listed = Signal(), Signal()
        self._listing: Asking[Mapping[str, Any]] = Asking(client, "models", lambda event: event)
        self.licence: Asking[tuple[str, str, str]] = Asking(client, "model", _licence)
        self._actions = {
            name: Asking(client, name, lambda event: event) for name in ("pull", "import", "verify", "remove")
        }
        self.card = CardFile(client)
        self._listed: tuple[ModelLine, ...] = ()
        self._facts: Mapping[str, Any] = {}
        self._active: Asking[Mapping[str, Any]] | None = None
        self._busy_with, self._message = "", ""
        self._listing.changed.connect(self._on_listing)
        self.licence.changed.connect(self.changed.emit)
        self.card.changed.connect(self._on_card)
        for name, asking in self._actions.items():
            asking.changed.connect(lambda name=name: self._on_action(name))

    def refresh(self) -> None:
        """Read the list anew."""
        self._listing.ask({})
        self.card.refresh()

    @property
    def _models(self) -> tuple[ModelLine, ...]:
        return (*self._listed, *((self.card.line,) if self.card.line is not None else ()))

    def models_for(self, task: str) -> tuple[ModelLine, ...]:
        """The models of a task that can run, the default one first."""
        found = [line for line in self._models if line.task == task and line.is_here]
        return tuple(sorted(found, key=lambda line: not line.is_default))

    def model(self, model_id: str) -> ModelLine | None:
        """One model."""
        return next((line for line in self._models if line.id == model_id), None)

    def pull(self, model_id: str, accept_licence: bool = False) -> None:
        """Fetch a model's files. The panel shows licence and terms first where `must_accept` says so."""
        self._act("pull", model_id, {"model": model_id, "accept_licence": accept_licence})

    def take_in(self, model_id: str, path: str, accept_licence: bool = False) -> None:
        """Take a model's files from a folder, a zip or a file."""
        self._act("import", model_id, {"model": model_id, "path": path, "accept_licence": accept_licence})

    def verify(self, model_id: str = "") -> None:
        """Check the files of one model, or of all that are here."""
        self._act("verify", model_id or "all", {"model": model_id or None})

    def remove(self, model_id: str) -> None:
        """Delete a model's fetched files."""
        self._act("remove", model_id, {"model": model_id})

    def cancel(self) -> None:
        """Stop what is being done; what was fetched so far is gone on with the next time."""
        if self._active is not None:
            self._active.cancel()

    def view(self) -> WeightsView:
        """What the panel shows."""
        active, free = self._active, self._facts.get("free_bytes")
        fraction = active.fraction if active is not None else None
        return WeightsView(
            self._models,
            str(self._facts.get("cache", "")),
            bool(self._facts.get("offline", False)),
            "" if free is None else f"{free / 1e9:.1f} GB free",
            self._busy_with,
            active.stage if active is not None else "",
            None if fraction is None else round(100 * fraction),
            self._message or self._listing.problem or self.card.problem,
        )

    def _act(self, name: str, model_id: str, arguments: dict[str, Any]) -> None:
        if self._active is not None:
            self._message = f"{self._busy_with} is being worked on; wait, or cancel that first."
            self.changed.emit()
            return
        self._busy_with, self._message, self._active = model_id, "", self._actions[name]
        self._active.ask(arguments)

    def _on_listing(self) -> None:
        if self._listing.answer is not None:
            self._facts = self._listing.answer
            self._listed = tuple(line_of(entry) for entry in self._facts["models"])
            self.listed.emit()
        self.changed.emit()

    def _on_card(self) -> None:
        self.listed.emit()
        self.changed.emit()

    def _on_action(self, name: str) -> None:
        asking = self._actions[name]
        if asking is self._active and not asking.is_busy:
            self._message = asking.problem or _told(name, self._busy_with, asking.answer or {})
            self._active, self._busy_with = None, ""
            self.refresh()
        self.changed.emit()


def _told(name: str, model_id: str, answer: Mapping[str, Any]) -> str:
    if name == "verify":
        damaged = [entry for entry in answer["models"] if entry["state"] == "damaged"]
        whole = sum(entry["state"] == "whole" for entry in answer["models"])
        return " ".join(entry["detail"] for entry in damaged) or f"{whole} of {len(answer['models'])} models are whole."
    if name == "remove":
        return f"{model_id} was removed; {answer['freed_bytes'] / 1e6:.1f} MB became free."
    return f"{model_id} was {'fetched' if name == 'pull' else 'imported'} and verified."


def _licence(event: Mapping[str, Any]) -> tuple[str, str, str]:
    summary = event["summary"]
    terms = f"{summary['terms']} " if summary["terms"] else ""
    question = f"{terms}Licence: {summary['licence']}. {summary['intended_use']} Do you accept this?"
    return summary["title"], question, event["licence_text"]
