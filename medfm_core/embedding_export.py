"""Embeddings as one file for other programs: a table, or NumPy arrays. No torch here."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from medfm_core.embedding import StudyEmbedding
from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_bytes

ENDINGS = (".csv", ".npz")
_STUDY, _BODY = "study", "whole_body"


def export_embeddings(embedding: StudyEmbedding, path: str | Path) -> Path:
    """Write the embeddings of one study.

    A `.csv` has one row per organ section and a last one for the whole study, with the columns unit, section, state,
    card, weights_sha256 and e0, e1, ... An `.npz` has the arrays `organs`, `(N, E)` float32, `units`, `sections`,
    `states`, `study`, `(E,)`, where an organ was encoded, and `whole_body`, `(B,)`, with `whole_body_card`, where a
    whole-body model made one; it opens with `numpy.load` and needs no pickle.

    Args:
        embedding: of one study.
        path: the file to make or replace.

    Returns:
        The path.

    Raises:
        InputError: another ending, or a place that cannot be written.
        ResourceError: the disk is full.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path.name} has no known ending", f"end it in {' or '.join(ENDINGS)}")
    atomic_bytes(path, _table(embedding) if path.suffix.lower() == ".csv" else _arrays(embedding))
    return path


def _table(embedding: StudyEmbedding) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    made_by = embedding.encoder.card, embedding.encoder.weights_sha256
    columns = (f"e{i}" for i in range(embedding.encoder.width))
    writer.writerow(["unit", "section", "state", "card", "weights_sha256", *columns])
    rows = [(organ.unit, organ.section, organ.state, organ.vector) for organ in embedding.organs]
    if embedding.study is not None:
        rows.append((_STUDY, "", "", embedding.study))
    for unit, section, state, vector in rows:
        writer.writerow([unit, section, state, *made_by, *(f"{value:.9g}" for value in vector)])
    return text.getvalue().encode("utf-8")


def _arrays(embedding: StudyEmbedding) -> bytes:
    arrays = {
        "organs": np.array([o.vector for o in embedding.organs], np.float32).reshape(-1, embedding.encoder.width),
        "units": np.array([o.unit for o in embedding.organs], dtype=str),
        "sections": np.array([o.section for o in embedding.organs], np.int64),
        "states": np.array([o.state for o in embedding.organs], dtype=str),
        "card": np.array(embedding.encoder.card),
        "weights_sha256": np.array(embedding.encoder.weights_sha256),
    }
    if embedding.study is not None:
        arrays[_STUDY] = embedding.study
    if embedding.body is not None:
        arrays[_BODY], arrays[f"{_BODY}_card"] = embedding.body.vector, np.array(embedding.body.encoder.card)
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()
