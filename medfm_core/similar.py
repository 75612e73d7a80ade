"""The studies in a folder of results that are most like one, by the cosine of their embeddings. No torch here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medfm_core.embedding import StudyEmbedding
from medfm_core.embedding_files import INDEX, read_embeddings
from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress


@dataclass(frozen=True)
class Neighbour:
    """One study of the folder.

    Attributes:
        study: its folder, relative to the folder that was searched.
        similarity: cosine of the two embeddings, -1 to 1.
        state: "present" or "cut" for an organ; "" for whole studies.
        shared: number of organ units that both studies have.
    """

    study: str
    similarity: float
    state: str
    shared: int


@dataclass
class Search:
    """What was found, and what was passed over.

    Attributes:
        neighbours: the most similar first.
        compared: how many studies were compared.
        other_model: studies whose embeddings another model made.
        without_organ: studies that do not show the organ, or no organ at all.
        broken: sentences about results that cannot be read.
    """

    neighbours: list[Neighbour] = field(default_factory=list)
    compared: int = 0
    other_model: int = 0
    without_organ: int = 0
    broken: list[str] = field(default_factory=list)


def find_similar(
    result: str | Path,
    folder: str | Path,
    *,
    organ: str | None = None,
    top: int = 10,
    warn: Callable[[str], None] = lambda sentence: None,
    progress: Progress = SILENT,
) -> Search:
    """Find the studies that are most like one.

    Only embeddings that the same card and weights made are compared. The study itself is left out.

    Args:
        result: its folder of results.
        folder: holds other folders of results, at any depth; links are not followed.
        organ: name of an organ unit to compare; None for the whole study.
        top: how many to name.
        warn: told one sentence per result that cannot be read; such results are passed over.
        progress: told of the studies done; may cancel.

    Raises:
        InputError: the result has no embeddings or not this organ, or there is no such folder.
    """
    if top < 1:
        raise InputError(f"{top} neighbours cannot be named", "ask for at least 1")
    wanted = read_embeddings(result)
    vector = _vector(wanted, organ)
    if vector is None:
        raise InputError(f"no organ of {result} was encoded", "choose another result")
    search, itself = Search(), Path(result).resolve()
    with progress.stage("Compare the studies") as stage:
        for place in result_folders(folder):
            stage.advance()
            if place.resolve() == itself:
                continue
            try:
                other = read_embeddings(place)
            except InputError as error:
                search.broken.append(str(error))
                warn(str(error))
                continue
            _compare(search, place.relative_to(folder).as_posix(), (wanted, vector), other, organ)
    search.neighbours.sort(key=lambda found: (-found.similarity, found.study))
    del search.neighbours[top:]
    return search


def result_folders(folder: str | Path) -> Iterator[Path]:
    """Folders with embeddings at or below a folder, in the order of their names; hidden ones are passed over.

    Raises:
        InputError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise InputError(f"there is no folder {folder}", "give a folder that holds results of `medfm analyze`")
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if INDEX in files:
            yield Path(place)


def _compare(
    search: Search, name: str, wanted: tuple[StudyEmbedding, np.ndarray], other: StudyEmbedding, organ: str | None
) -> None:
    """Add a study to the search, or to what was passed over."""
    ours, vector = wanted
    if other.encoder != ours.encoder:
        search.other_model += 1
        return
    if not other.organs or (organ is not None and organ not in other.units):
        search.without_organ += 1
        return
    search.compared += 1
    states = {section.state for section in other.sections(organ)} if organ else set()
    state = "" if organ is None else "cut" if "cut" in states else "present"
    similarity = float(np.clip(vector.astype(np.float64) @ _vector(other, organ).astype(np.float64), -1, 1))
    search.neighbours.append(Neighbour(name, similarity, state, len(set(ours.units) & set(other.units))))


def _vector(embedding: StudyEmbedding, organ: str | None) -> np.ndarray | None:
    return embedding.study if organ is None else embedding.of_organ(organ)
