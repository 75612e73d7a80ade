"""Embeddings in a folder of results: the numbers as safetensors, and an index that says what each row is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from medfm_core import RESEARCH_USE
from medfm_core.embedding import (
    LENGTH_TOLERANCE,
    BodyEmbedding,
    Encoder,
    OrganEmbedding,
    StudyEmbedding,
    Visible,
)
from medfm_core.errors import InputError, WeightsError
from medfm_core.io.atomic import atomic_bytes, atomic_text
from medfm_core.strict import from_dict, to_dict
from medfm_core.weights import check_safetensors

VECTORS, INDEX = "embeddings.safetensors", "embeddings.json"
SCHEMA = "medfm.embeddings.v1"
_ORGANS, _STUDY, _BODY = "organs", "study", "whole_body"
_REMAKE = "run `medfm analyze` again"


@dataclass(frozen=True)
class _Row:
    """What one row of the tensor `organs` is."""

    unit: str
    section: int
    state: Visible


@dataclass(frozen=True)
class _Body:
    """What the tensor `whole_body` is."""

    encoder: Encoder
    organs: tuple[str, ...]


@dataclass(frozen=True)
class _Index:
    """What `embeddings.json` holds; `sha256` is that of `embeddings.safetensors`."""

    schema: Literal["medfm.embeddings.v1"]
    notice: str
    encoder: Encoder
    sha256: str
    rows: tuple[_Row, ...]
    whole_body: _Body | None = field(default=None, metadata={"sparse": True})


def write_embeddings(embedding: StudyEmbedding, folder: str | Path) -> tuple[Path, Path]:
    """Write `embeddings.safetensors` and `embeddings.json`, each whole or not at all.

    The first holds `organs`, `(N, E)` float32, one row per line of the index, and `study`, `(E,)` float32: the mean
    over the organ units, brought back to length 1. `study` is missing where no organ was encoded. `whole_body`, `(B,)`
    float32, is there where a whole-body model looked at the organs; the index says which.

    Args:
        embedding: of one study.
        folder: an existing folder.

    Returns:
        The two paths.

    Raises:
        InputError: the folder cannot be written.
        ResourceError: the disk is full.
    """
    from safetensors.numpy import save

    organs = np.zeros((len(embedding.organs), embedding.encoder.width), np.float32)
    for row, organ in enumerate(embedding.organs):
        organs[row] = organ.vector
    tensors = {_ORGANS: organs} if embedding.study is None else {_ORGANS: organs, _STUDY: embedding.study}
    body = embedding.body
    if body is not None:
        tensors[_BODY] = body.vector
    data = save(tensors)
    rows = tuple(_Row(organ.unit, organ.section, organ.state) for organ in embedding.organs)
    told = None if body is None else _Body(body.encoder, body.organs)
    index = _Index(SCHEMA, RESEARCH_USE, embedding.encoder, hashlib.sha256(data).hexdigest(), rows, told)
    paths = Path(folder) / VECTORS, Path(folder) / INDEX
    atomic_bytes(paths[0], data)
    atomic_text(paths[1], json.dumps(to_dict(index, defaults=True), indent=1, ensure_ascii=False) + "\n")
    return paths


def read_embeddings(folder: str | Path) -> StudyEmbedding:
    """Read the embeddings of a folder of results.

    Args:
        folder: what `medfm analyze --out` named.

    Raises:
        InputError: there are none, or they are damaged or do not belong together.
    """
    vectors, index_path = Path(folder) / VECTORS, Path(folder) / INDEX
    if not index_path.is_file() or not vectors.is_file():
        raise InputError(
            f"the folder {folder} holds no embeddings", "give a result of `medfm analyze` made with a findings model"
        )
    try:
        index = from_dict(_Index, json.loads(index_path.read_text(encoding="utf-8")), f"the index {index_path}")
        data = vectors.read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"the embeddings in {folder} cannot be read ({error})", _REMAKE) from error
    if hashlib.sha256(data).hexdigest() != index.sha256:
        raise InputError(f"the embeddings in {folder} are damaged or belong to another run", _REMAKE)
    tensors = _tensors(vectors, index, folder)
    try:
        rows = zip(index.rows, tensors[_ORGANS], strict=True)
        made = (OrganEmbedding(row.unit, row.section, row.state, vector) for row, vector in rows)
        told = index.whole_body
        body = None if told is None else BodyEmbedding(told.encoder, told.organs, tensors[_BODY])
        return StudyEmbedding(index.encoder, tuple(made), body)
    except ValueError as problem:
        raise InputError(f"the embeddings in {folder} are not usable: {problem}", _REMAKE) from problem


def _tensors(path: Path, index: _Index, folder: str | Path) -> dict[str, np.ndarray]:
    """The file's tensors, among them the rows, `(N, E)` float32, checked against the header before they are read."""
    from safetensors.numpy import load_file

    try:
        tensors = check_safetensors(path).tensors
    except WeightsError as error:
        raise InputError(f"the embeddings in {folder} are damaged: {error.what}", _REMAKE) from error
    expected = {_ORGANS: (len(index.rows), index.encoder.width)}
    if index.rows:
        expected[_STUDY] = (index.encoder.width,)
    if index.whole_body is not None:
        expected[_BODY] = (index.whole_body.encoder.width,)
    found = {name: info.shape for name, info in tensors.items()}
    if found != expected or any(info.dtype != "F32" for info in tensors.values()):
        raise InputError(f"the embeddings in {folder} have another shape than their index says", _REMAKE)
    loaded = load_file(path)
    if index.rows and abs(float(np.linalg.norm(loaded[_STUDY])) - 1) > LENGTH_TOLERANCE:
        raise InputError(f"the embedding of the whole study in {folder} has not length 1", _REMAKE)
    return loaded
