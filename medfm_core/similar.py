"""The studies in a folder of results that are most like one, by the cosine of their embeddings. No torch here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medfm_core.embedding import BodyEmbedding, StudyEmbedding
from medfm_core.embedding_files import INDEX, read_embeddings
from medfm_core.errors import InputError
from medfm_core.progress import SILENT, Progress

_WHOLE_BODY = "the whole body"  # no unit is called so: units have no spaces


@dataclass(frozen=True)
class Neighbour:
    """One study of the folder.

    Attributes:
        study: its folder, relative to the folder that was searched.
        similarity: cosine of the two embeddings, -1 to 1.
        state: "present" or "cut" for an organ; "" for whole studies.
        shared: number of organ units that both studies have; of whole bodies, of the model's organs.
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
        without_organ: studies that do not show the organ, or no organ at all, or have no vector of the whole body.
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
    whole_body: bool = False,
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
        whole_body: compare what a whole-body model made of all organs instead of their mean.
        top: how many to name.
        warn: told one sentence per result that cannot be read; such results are passed over.
        progress: told of the studies done; may cancel.

    Raises:
        InputError: the result has no embeddings or not this organ, or there is no such folder.
    """
    if whole_body and organ is not None:
        raise InputError("one organ and the whole body are two things to compare", "give either of them")
    if top < 1:
        raise InputError(f"{top} neighbours cannot be named", "ask for at least 1")
    wanted = read_embeddings(result)
    what = _WHOLE_BODY if whole_body else organ
    vector = _vector(wanted, what)
    if vector is None:
        lacks = "it has no vector of the whole body" if whole_body else "no organ of it was encoded"
        raise InputError(f"{result} cannot be compared: {lacks}", "choose another result")
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
            _compare(search, place.relative_to(folder).as_posix(), (wanted, vector), other, what)
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
    if organ == _WHOLE_BODY:
        _compare_bodies(search, name, ours.body, other.body)
        return
    if other.encoder != ours.encoder:
        search.other_model += 1
        return
    if not other.organs or (organ is not None and organ not in other.units):
        search.without_organ += 1
        return
    search.compared += 1
    states = {section.state for section in other.sections(organ)} if organ else set()
    state = "" if organ is None else "cut" if "cut" in states else "present"
    similarity = _cosine(vector, _vector(other, organ))
    search.neighbours.append(Neighbour(name, similarity, state, len(set(ours.units) & set(other.units))))


def _compare_bodies(search: Search, name: str, ours: BodyEmbedding, other: BodyEmbedding | None) -> None:
    if other is None:
        search.without_organ += 1
    elif other.encoder != ours.encoder:
        search.other_model += 1
    else:
        search.compared += 1
        shared = len(set(ours.organs) & set(other.organs))
        search.neighbours.append(Neighbour(name, _cosine(ours.vector, other.vector), "", shared))


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.clip(one.astype(np.float64) @ other.astype(np.float64), -1, 1))


def _vector(embedding: StudyEmbedding, organ: str | None) -> np.ndarray | None:
    if organ == _WHOLE_BODY:
        return None if embedding.body is None else embedding.body.vector
    return embedding.study if organ is None else embedding.of_organ(organ)
