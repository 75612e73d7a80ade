"""Sentence vectors in a file, so that training needs no text tower.

The file's name is its content: stores of the same sentences, tower and values have the same name and the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from medfm_core.errors import InputError, WeightsError
from medfm_core.progress import SILENT, Progress
from medfm_core.vector_file import contents_sha256, read_vectors, write_vectors

if TYPE_CHECKING:
    from medfm_core.models.text import TextTower

KIND = "medfm-sentences"
_NAMED = 3
_CUT = 60


@dataclass(frozen=True)
class _Header:
    text_tower: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SentenceStore:
    """Raw vectors of sentences, as a text tower gives them: not normalised, before any projection.

    Attributes:
        text_tower: id of the tower.
        sentences: all different, in alphabetical order.
        vectors: `(N, W)` float32, or float16 values in float32.
        stored: type in the file, torch.float32 or torch.float16.
    """

    text_tower: str
    sentences: tuple[str, ...]
    vectors: Tensor
    stored: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if len(self.sentences) != len(self.vectors):
            raise ValueError(f"it has {len(self.sentences)} sentences and {len(self.vectors)} vectors")
        if list(self.sentences) != sorted(set(self.sentences)):
            raise ValueError("its sentences are repeated or out of order")

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def width(self) -> int:
        """Values of a vector, `W`."""
        return self.vectors.shape[1]

    @cached_property
    def name(self) -> str:
        """Name of the file: `sentences-` and the first 16 digits of its content's sha256."""
        digest = contents_sha256(_Header(self.text_tower, self.sentences), self.vectors.to(self.stored))
        return f"sentences-{digest[:16]}.safetensors"

    def lookup(self, sentences: Sequence[str]) -> Tensor:
        """Find vectors.

        Args:
            sentences: any number, repeats allowed; spaces around a sentence do not matter.

        Returns:
            `(n, W)` float32.

        Raises:
            InputError: some are not in the store; the first few are named.
        """
        rows = [self._rows.get(sentence.strip(), -1) for sentence in sentences]
        missing = list(dict.fromkeys(s for s, row in zip(sentences, rows, strict=True) if row < 0))
        if missing:
            some = ", ".join(repr(s if len(s) <= _CUT else s[:_CUT] + "...") for s in missing[:_NAMED])
            more = ", ..." if len(missing) > _NAMED else ""
            raise InputError(
                f"the sentence store lacks {len(missing)} sentences ({some}{more})", "build it anew with them"
            )
        return self.vectors[torch.tensor(rows, dtype=torch.long)]

    def write(self, folder: str | Path) -> Path:
        """Write the store into a folder, under `name`.

        Raises:
            InputError: the place cannot be written.
            ResourceError: the disk is full.
        """
        path = Path(folder) / self.name
        write_vectors(path, KIND, _Header(self.text_tower, self.sentences), self.vectors.to(self.stored))
        return path

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {sentence: row for row, sentence in enumerate(self.sentences)}


def build_sentence_store(
    sentences: Iterable[str], tower: TextTower, stored: torch.dtype = torch.float32, progress: Progress = SILENT
) -> SentenceStore:
    """Encode sentences for a store.

    Args:
        sentences: any number, repeats allowed.
        tower: what encodes them.
        stored: type in the file, torch.float32 or torch.float16.
        progress: told of the sentences that are done.

    Raises:
        InputError: a sentence is empty, or a vector does not fit into float16.
    """
    ordered = tuple(sorted({sentence.strip() for sentence in sentences}))
    vectors = tower.encode(ordered, progress).to(stored).float()
    if not torch.isfinite(vectors).all():
        raise InputError("a sentence vector is not finite in the type to be stored", "store float32")
    return SentenceStore(tower.id, ordered, vectors, stored)


def read_sentence_store(path: str | Path) -> SentenceStore:
    """Read a store; needs no text tower.

    Raises:
        WeightsError: missing, damaged or no store.
    """
    header, vectors = read_vectors(path, KIND, _Header)
    try:
        return SentenceStore(header.text_tower, header.sentences, vectors.float(), vectors.dtype)
    except ValueError as problem:
        raise WeightsError(f"the sentence store {path} is not usable: {problem}", "build it anew") from problem
