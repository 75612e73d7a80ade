"""Embeddings of one study: a vector of length 1 per organ, and one of the whole study.

Embeddings of two studies can be compared where the same weights made them, so both say which weights those are. No
torch here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from medfm_core.errors import InputError
from medfm_core.strict import unknown_name

# A vector computed in float32 is of length 1 within far less.
LENGTH_TOLERANCE = 1e-3
Visible = Literal["present", "cut"]


@dataclass(frozen=True, eq=False)
class OrganEmbedding:
    """What the encoder makes of one organ, or of one section of it.

    Attributes:
        unit: name of the organ unit.
        section: number of the section along the body, from 0.
        state: "present", or "cut" where only a part of the organ is within the scan or was outlined.
        vector: `(E,)` float32, made to be of length 1.
    """

    unit: str
    section: int
    state: Visible
    vector: np.ndarray

    def __post_init__(self) -> None:
        vector = np.asarray(self.vector, dtype=np.float32)
        if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
            raise ValueError(f"the embedding of {self.unit} is not a vector of finite numbers")
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if abs(length - 1) > LENGTH_TOLERANCE:
            raise ValueError(f"the embedding of {self.unit} has the length {length:.4f} instead of 1")
        object.__setattr__(self, "vector", vector)


@dataclass(frozen=True)
class Encoder:
    """Which weights made an embedding; only embeddings of equal encoders can be compared.

    Attributes:
        card: id of the model card.
        weights_sha256: of the encoder's weights file; of that and the whitening's, where it whitens its vectors.
        width: values of an embedding, `E`.
    """

    card: str
    weights_sha256: str
    width: int


@dataclass(frozen=True, eq=False)
class BodyEmbedding:
    """What a whole-body model makes of all organs of one study together.

    Attributes:
        encoder: the whole-body model.
        organs: of its organs those that the study shows.
        vector: `(E,)` float32, of length 1.
    """

    encoder: Encoder
    organs: tuple[str, ...]
    vector: np.ndarray

    def __post_init__(self) -> None:
        checked = OrganEmbedding("whole body", 0, "present", self.vector).vector
        if len(checked) != self.encoder.width or not self.organs:
            raise ValueError("the embedding of the whole body has another width than its model, or is of no organ")
        object.__setattr__(self, "vector", checked)


@dataclass(frozen=True, eq=False)
class StudyEmbedding:
    """All organs of one study.

    Attributes:
        encoder: what made them.
        organs: one per organ unit and section that is in the scan, in the card's order; may be empty.
        body: all of them together; None where no whole-body model looked at them.
    """

    encoder: Encoder
    organs: tuple[OrganEmbedding, ...]
    body: BodyEmbedding | None = None

    def __post_init__(self) -> None:
        if any(len(organ.vector) != self.encoder.width for organ in self.organs):
            raise ValueError(f"an embedding has not the encoder's {self.encoder.width} values")
        if len({(organ.unit, organ.section) for organ in self.organs}) < len(self.organs):
            raise ValueError("a section of an organ stands twice")

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Names of the organ units that are there, each once."""
        return tuple(dict.fromkeys(organ.unit for organ in self.organs))

    def sections(self, unit: str) -> tuple[OrganEmbedding, ...]:
        """The sections of an organ unit, in their order; empty where it is not there."""
        return tuple(organ for organ in self.organs if organ.unit == unit)

    def of_organ(self, unit: str) -> np.ndarray:
        """One vector for one organ unit: the mean of its sections, brought back to length 1.

        Returns:
            `(E,)` float32.

        Raises:
            InputError: the study has no embedding of it; the nearest are named.
        """
        if unit not in self.units:
            raise InputError(unknown_name("organ among this study's embeddings", unit, self.units))
        return normalised_mean(organ.vector for organ in self.sections(unit))

    @cached_property
    def study(self) -> np.ndarray | None:
        """One vector for the whole study: the mean over its organ units, brought back to length 1.

        Every organ unit counts once, however many sections it has. Studies of other parts of the body have other
        organs, so this vector also tells what was scanned.

        Returns:
            `(E,)` float32; None where no organ was encoded.
        """
        return normalised_mean(map(self.of_organ, self.units)) if self.organs else None


def normalised_mean(vectors: Iterable[np.ndarray]) -> np.ndarray:
    """The mean of vectors, brought back to length 1.

    Args:
        vectors: `(E,)` each, one at least.

    Returns:
        `(E,)` float32; the first vector's direction where the mean is zero.
    """
    stacked = np.stack([np.asarray(vector, dtype=np.float64) for vector in vectors])
    mean = stacked.mean(axis=0)
    length = np.linalg.norm(mean)
    if length < 1e-12:
        mean, length = stacked[0], np.linalg.norm(stacked[0])
    return (mean / length).astype(np.float32)
