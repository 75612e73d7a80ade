"""What can be done with a result: questions in free text, similar studies, embeddings for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .asking import Asking
from .client import WorkerClient
from .results import Result

NOT_CALIBRATED = "Free text is not calibrated: the score does not say whether it is there. Research use only."


@dataclass(frozen=True)
class FreeTextAnswer:
    """How well a phrase fits an organ.

    Attributes:
        organ, phrase: what was asked.
        score: 0 to 1, not calibrated.
        spread: lowest and highest score over single sentences.
        yes, no: the sentences that were compared.
        catalogue: what the catalogue's finding of the same meaning says, one sentence per place.
        notes: what limits the answer.
    """

    organ: str
    phrase: str
    score: float
    spread: tuple[float, float]
    yes: tuple[str, ...]
    no: tuple[str, ...]
    catalogue: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """A study that is like this one: its folder of results below the one searched, and the cosine, -1 to 1."""

    study: str
    similarity: float
    state: str
    shared: int


class StudyModel:
    """Asks the worker about a result; each of the three has its own `Asking`.

    Attributes:
        question: its answer is a `FreeTextAnswer`.
        similar: its answer is a tuple of `Neighbour`, the most similar first.
        export: its answer is the path of the file.
    """

    def __init__(self, client: WorkerClient) -> None:
        self.question: Asking[FreeTextAnswer] = Asking(client, "ask", _free_text)
        self.similar: Asking[tuple[Neighbour, ...]] = Asking(client, "similar", _neighbours)
        self.export: Asking[str] = Asking(client, "embed", lambda event: str(event["out"]))
        self._result: Result | None = None

    @property
    def organs(self) -> tuple[str, ...]:
        """Organs that can be asked about: those that the model encoded."""
        block = (self._result.manifest.get("findings") or {}) if self.has_files else {}
        units = block.get("units") or {}
        return tuple(name for name, unit in units.items() if unit["state"] in ("present", "cut"))

    @property
    def has_files(self) -> bool:
        """Whether there is a result whose folder is here; one that a saved scene carries has none."""
        return self._result is not None and self._result.folder is not None

    def show(self, result: Result | None) -> None:
        """Be about another result; what is asked of the last one is stopped."""
        self._result = result
        for asking in (self.question, self.similar, self.export):
            asking.forget()

    def ask(self, organ: str, phrase: str) -> bool:
        """Ask how well a phrase fits an organ; whether there is a result to ask about."""
        return self._do(self.question, {"organ": organ, "phrase": phrase})

    def find_similar(self, folder: str, organ: str = "", top: int = 10) -> bool:
        """Search a folder of results; whether there is a result to compare with."""
        return self._do(self.similar, {"folder": folder, "top": top, "organ": organ or None})

    def export_embeddings(self, path: str) -> bool:
        """Write the embeddings as .csv or .npz; whether there is a result to take them from."""
        return self._do(self.export, {"out": path})

    def _do(self, asking: Asking[Any], arguments: dict[str, Any]) -> bool:
        if not self.has_files:
            return False
        asking.ask({"result": str(self._result.folder), **arguments})
        return True


def _free_text(event: Mapping[str, Any]) -> FreeTextAnswer:
    low, high = event["spread"]
    notes = [NOT_CALIBRATED]
    if event["cut"]:
        notes.append(f"Only a part was seen of: {', '.join(event['cut'])}.")
    return FreeTextAnswer(
        event["organ"],
        event["phrase"],
        float(event["score"]),
        (float(low), float(high)),
        tuple(event["positive"]),
        tuple(event["negative"]),
        tuple(_told(finding) for finding in event["catalogue"]),
        tuple(notes),
    )


def _told(finding: Mapping[str, Any]) -> str:
    return f"{finding['label']} in {finding['organ']}: {finding['state'].replace('_', ' ')}, {finding['score']:.2f}."


def _neighbours(event: Mapping[str, Any]) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(n["study"], float(n["similarity"]), n["state"], int(n["shared"])) for n in event["neighbours"]
    )
