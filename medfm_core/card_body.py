"""What the card of a whole-body model says of its organs: who makes their vectors, and how measurements are scaled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OrganSource:
    """How the values of one organ come to a whole-body model.

    Vectors are those of one card's encoder, one token for each of `units` in their order, and go in as that encoder
    gives them. Measurements are brought to deviations from a mean.

    Attributes:
        card: id of the encoder's card; "" for a table.
        weights_sha256: of that encoder's weights file: other weights make other vectors.
        width: numbers of a vector.
        units: organ units of that card which belong to the organ.
        mean: of each field of a table, in the architecture's order.
        deviation: likewise.
    """

    card: str = ""
    weights_sha256: str = ""
    width: int = 0
    units: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.card) == bool(self.mean):
            raise ValueError("an organ needs either the card of an encoder or the means of its measurements")
        if self.card and not re.fullmatch("[0-9a-f]{64}", self.weights_sha256):
            raise ValueError("weights_sha256 must be 64 lower-case hexadecimal digits")
        if self.card and (self.width < 1 or not self.units or len(set(self.units)) < len(self.units)):
            raise ValueError("width must be positive, and units must name at least one unit, and none twice")
        if len(self.mean) != len(self.deviation) or any(value <= 0 for value in self.deviation):
            raise ValueError("mean and deviation must be as many, and deviations positive")


def check_body(organs: object, sources: Mapping[str, OrganSource]) -> None:
    """Refuse sources that do not belong to the organs of an architecture.

    Args:
        organs: the architecture's entry `organs`.
        sources: the input's entry `body`.

    Raises:
        ValueError: there are no organs, a source is of none of them, or it makes something else than the organ takes.
    """
    if not isinstance(organs, (list, tuple)) or not organs or not all(isinstance(o, Mapping) for o in organs):
        raise ValueError("architecture.organs must list the organs of a whole-body model")
    known: dict[str, Mapping[str, Any]] = {str(organ.get("name")): organ for organ in organs}
    for name, source in sources.items():
        if name not in known:
            raise ValueError(f"input.body: the architecture has no organ {name!r} (it has {', '.join(known)})")
        organ = known[name]
        kind = organ.get("kind", "vectors")
        if source.card and (kind != "vectors" or organ.get("values") != source.width):
            raise ValueError(f"input.body.{name}: the organ does not take vectors of {source.width} numbers")
        if source.card and len(source.units) != organ.get("count"):
            raise ValueError(f"input.body.{name}: {len(source.units)} units for {organ.get('count')} vectors")
        if source.mean and (kind != "table" or len(organ.get("fields", ())) != len(source.mean)):
            raise ValueError(f"input.body.{name}: the organ is no table of {len(source.mean)} fields")
