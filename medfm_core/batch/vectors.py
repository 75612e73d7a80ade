"""The vectors of all studies of a cohort in one file, for other programs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medfm_core.embedding_files import read_embeddings
from medfm_core.errors import MedFMError
from medfm_core.io.atomic import atomic_bytes

VECTORS = "embeddings.npz"


def write_vectors(cases: Sequence[str], folder: Path) -> Path | None:
    """Gather the vectors of finished cases, all of one model.

    The file has the arrays `cases` and `units` (a scan's sequence, "study" for their mean), one entry per vector,
    `vectors`, `(N, E)` float32, each of length 1, and `card` and `weights_sha256` of the model that made them; it opens
    with `numpy.load` and needs no pickle. A case whose vectors are gone or by other weights is left out.

    Args:
        cases: names of their folders.
        folder: of the batch.

    Returns:
        The file; None where there is no vector.

    Raises:
        InputError, ResourceError: it cannot be written.
    """
    rows: list[tuple[str, str, np.ndarray]] = []
    encoder = None
    for case in cases:
        try:
            found = read_embeddings(folder / case)
        except MedFMError:
            continue
        encoder = encoder or found.encoder
        if found.encoder == encoder:
            rows += [(case, one.unit, one.vector) for one in found.organs]
            rows += [(case, "study", found.study)] if found.study is not None else []
    if not rows or encoder is None:
        return None
    data = io.BytesIO()
    np.savez(
        data,
        cases=np.array([case for case, _, _ in rows], dtype=str),
        units=np.array([unit for _, unit, _ in rows], dtype=str),
        vectors=np.stack([vector for _, _, vector in rows]).astype(np.float32),
        card=np.array(encoder.card),
        weights_sha256=np.array(encoder.weights_sha256),
    )
    atomic_bytes(folder / VECTORS, data.getvalue())
    return folder / VECTORS
