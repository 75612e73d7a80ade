"""One model, as menus and the weights manager show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ORGANS, FINDINGS, BRAINS = "organ_segmentation", "findings", "brain_embedding"
_PLACES = {"shipped": "comes with MedFM", "file": "in a folder", "hub": "not here", "fetched": "here"}


@dataclass(frozen=True)
class ModelLine:
    """One model.

    Attributes:
        id: of its card.
        title: for the user.
        summary: one sentence.
        task: "organ_segmentation", "findings", ...
        modality: DICOM's words.
        covers: names of the organs or units that it tells.
        bytes: size of its files; None where the card does not say.
        licence: of the weights.
        terms: what must be accepted, "" where nothing.
        intended_use: what it may be used for.
        limits: where it fails.
        is_default: whether it runs when none is chosen.
        place: "shipped", "file", "hub" (not here), "fetched", or of a program "installed" or "not installed".
        is_gated: whether its owner must grant access first, and `access` how.
        access: see there.
        must_accept: whether the licence is to be accepted before it is fetched.
    """

    id: str
    title: str
    summary: str
    task: str
    modality: tuple[str, ...]
    covers: tuple[str, ...]
    bytes: int | None
    licence: str
    terms: str
    intended_use: str
    limits: tuple[str, ...]
    is_default: bool
    place: str
    is_gated: bool
    access: str
    must_accept: bool

    @property
    def is_here(self) -> bool:
        """Whether it can run."""
        return self.place not in ("hub", "not installed")

    @property
    def where(self) -> str:
        """Where its files are, for the user."""
        return _PLACES.get(self.place, self.place)

    @property
    def size(self) -> str:
        """For the user."""
        if self.bytes is None:
            return "size not known"
        return f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:.1f} MB"

    @property
    def line(self) -> str:
        """Title, size, licence, modality and coverage in one line, for menus."""
        count = f"{len(self.covers)} structures" if self.covers else "brain" if self.task == BRAINS else ""
        facts = (self.size, self.licence, " or ".join(self.modality), count, self.where)
        return f"{self.title} ({', '.join(filter(None, facts))})"


def line_of(entry: Mapping[str, Any]) -> ModelLine:
    """A model as the worker lists it.

    Raises:
        KeyError, TypeError: the worker's answer is damaged.
    """
    return ModelLine(
        id=entry["id"],
        title=entry["title"],
        summary=entry["summary"],
        task=entry["task"],
        modality=tuple(entry["modality"]),
        covers=tuple(entry["covers"]),
        bytes=entry["bytes"],
        licence=entry["licence"],
        terms=entry["terms"] or "",
        intended_use=entry["intended_use"],
        limits=tuple(entry["limits"]),
        is_default=bool(entry["default"]),
        place=entry["place"],
        is_gated=bool(entry["gated"]),
        access=entry["access"] or "",
        must_accept=bool(entry["must_accept"]),
    )
