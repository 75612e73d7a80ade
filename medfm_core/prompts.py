"""Prompt embeddings in a file: what a model compares organs with, ready without any language model.

A cache belongs to one set of weights. It holds the wordings of the findings catalogue as embeddings of length 1, stored
in float16 and used in float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.errors import InputError, WeightsError
from medfm_core.progress import SILENT, Progress
from medfm_core.strict import nearest, unknown_name
from medfm_core.vector_file import read_vectors, write_vectors

if TYPE_CHECKING:
    from medfm_core.anatomy.findings import FindingKind, Question
    from medfm_core.models.text import TextTower
    from medfm_core.models.text_projection import TextProjection

KIND = "medfm-prompts"
Polarity = Literal["positive", "negative"]
# Rounding each value to float16 moves the length by less than 0.001.
_LENGTH_TOLERANCE = 0.01
_REBUILD = "make the prompts anew with the weights and the catalogue that are in use"


@dataclass(frozen=True)
class Prompt:
    """One wording of one finding; "positive" says that the finding is there, "negative" that it is not."""

    finding: str
    polarity: Polarity
    sentence: str


@dataclass(frozen=True)
class PromptSource:
    """What prompt embeddings were made with.

    Attributes:
        text_tower: id of the text tower.
        weights_sha256: of the weights file that the text projection belongs to; 64 lower-case hexadecimal digits.
    """

    text_tower: str
    weights_sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.weights_sha256):
            raise ValueError("weights_sha256 must be 64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class _Header:
    source: PromptSource
    width: int
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, eq=False)
class PromptCache:
    """Embeddings of the catalogue's wordings.

    Attributes:
        source: what they were made with.
        prompts: what each row is, in the catalogue's order.
        stored: `(P, E)` float16, as in the file; `vectors` is what to compute with.
    """

    source: PromptSource
    prompts: tuple[Prompt, ...]
    stored: Tensor

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError("it holds no sentence")
        if len(self.prompts) != len(self.stored):
            raise ValueError(f"it has {len(self.prompts)} sentences and {len(self.stored)} vectors")
        for finding in self.findings:
            for polarity in ("positive", "negative"):
                if not self._rows.get((finding, polarity)):
                    raise ValueError(f"the finding {finding} has no {polarity} sentence")

    @property
    def width(self) -> int:
        """Values of an embedding, `E`."""
        return self.stored.shape[1]

    @cached_property
    def vectors(self) -> Tensor:
        """The embeddings, `(P, E)` float32 of length 1."""
        return functional.normalize(self.stored.float(), dim=1)

    @cached_property
    def findings(self) -> tuple[str, ...]:
        """Names of the findings, in the catalogue's order."""
        return tuple(dict.fromkeys(prompt.finding for prompt in self.prompts))

    def of_finding(self, name: str, polarity: Polarity) -> Tensor:
        """Embeddings of one finding's wordings, `(n, E)`, in the catalogue's order.

        Raises:
            InputError: no such finding is here; the nearest is named.
        """
        if name not in self.findings:
            raise InputError(unknown_name("finding with prompts", name, self.findings), "choose a known one")
        return self.vectors[self._rows[name, polarity]]

    def write(self, path: str | Path) -> None:
        """Write the cache as safetensors; equal caches give equal bytes.

        Raises:
            InputError: the place cannot be written.
            ResourceError: the disk is full.
        """
        write_vectors(path, KIND, _Header(self.source, self.width, self.prompts), self.stored)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[int]]:
        rows: dict[tuple[str, str], list[int]] = {}
        for row, prompt in enumerate(self.prompts):
            rows.setdefault((prompt.finding, prompt.polarity), []).append(row)
        return rows


def read_prompt_cache(
    path: str | Path, weights_sha256: str, width: int, findings: Iterable[FindingKind]
) -> PromptCache:
    """Read a cache, and refuse one that does not belong here; needs no language model.

    Args:
        path: the safetensors file.
        weights_sha256: of the weights in use.
        width: values of their embeddings.
        findings: the catalogue in use.

    Raises:
        WeightsError: missing, damaged, of other weights, of another width, or with findings that are not known.
    """
    header, stored = read_vectors(path, KIND, _Header)
    _check_belongs(path, header, weights_sha256, width)
    if (len(header.prompts), header.width) != tuple(stored.shape):
        raise WeightsError(f"the prompts {path} are damaged: their sentences and vectors differ in number", _REBUILD)
    known = [kind.name for kind in findings]
    unknown = [prompt.finding for prompt in header.prompts if prompt.finding not in set(known)]
    if unknown:
        what = (
            f"the prompts {path} know a finding {unknown[0]!r} that the catalogue does not{nearest(unknown[0], known)}"
        )
        raise WeightsError(what, _REBUILD)
    if ((stored.float().norm(dim=1) - 1).abs() > _LENGTH_TOLERANCE).any():
        raise WeightsError(f"the prompts {path} are damaged: an embedding has not length 1", _REBUILD)
    try:
        return PromptCache(header.source, header.prompts, stored)
    except ValueError as problem:
        raise WeightsError(f"the prompts {path} are not usable: {problem}", _REBUILD) from problem


def build_prompt_cache(
    findings: Iterable[FindingKind | Question],
    tower: TextTower,
    projection: TextProjection,
    weights_sha256: str,
    progress: Progress = SILENT,
) -> PromptCache:
    """Embed every wording of the catalogue, or of a model's own questions.

    Args:
        findings: the catalogue, or the questions.
        tower: the text tower that the projection was trained with.
        projection: of the weights in use.
        weights_sha256: of their file.
        progress: told of the sentences that are done.

    Returns:
        The cache, with the values that it has after writing and reading.

    Raises:
        InputError: the catalogue is empty, or tower and projection do not fit.
    """
    prompts = tuple(_prompts(findings))
    if not prompts:
        raise InputError("the catalogue of findings is empty", "give one with findings")
    vectors = embed_sentences([prompt.sentence for prompt in prompts], tower, projection, progress)
    return PromptCache(PromptSource(tower.id, weights_sha256), prompts, vectors.half())


@torch.no_grad()
def embed_sentences(
    sentences: Sequence[str], tower: TextTower, projection: TextProjection, progress: Progress = SILENT
) -> Tensor:
    """Embed free text as the wordings of a cache are.

    Args:
        sentences: short sentences about one organ each.
        tower: the text tower that the projection was trained with.
        projection: of the weights in use.
        progress: told of the sentences that are done.

    Returns:
        `(N, E)` float32 on the CPU, of length 1.

    Raises:
        InputError: a sentence is empty, or tower and projection do not fit.
    """
    expected = projection.linear.in_features
    if tower.width != expected:
        raise InputError(
            f"the text tower {tower.id} gives {tower.width} values, the weights want {expected}",
            "use the text tower that the model card names",
        )
    vectors = tower.encode(sentences, progress)
    return projection(vectors.to(projection.linear.weight.device)).cpu()


def _check_belongs(path: str | Path, header: _Header, weights_sha256: str, width: int) -> None:
    if header.source.weights_sha256 != weights_sha256:
        theirs, ours = header.source.weights_sha256[:12], weights_sha256[:12]
        raise WeightsError(f"the prompts {path} belong to the weights {theirs}..., in use are {ours}...", _REBUILD)
    if header.width != width:
        raise WeightsError(f"the prompts {path} have {header.width} values each, the model has {width}", _REBUILD)


def _prompts(findings: Iterable[FindingKind | Question]) -> Iterable[Prompt]:
    for kind in findings:
        yield from (Prompt(kind.name, "positive", sentence) for sentence in kind.positive)
        yield from (Prompt(kind.name, "negative", sentence) for sentence in kind.negative)
