"""What Pan-FM is told of an organ: an opaque set of tokens, whatever it was made from.

The published abstract does not say whether organs enter as volumes or as tables of measurements, so both can be given,
and vectors of other encoders as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from medfm_core.layers.patches import patch_grid

OrganKind = Literal["volume", "table", "vectors"]


@dataclass(frozen=True)
class OrganSpec:
    """One organ as data.

    Attributes:
        name: of the organ.
        kind: `volume`: a crop of fixed size, cut into patches; `table`: named measurements, each of which is a token;
            `vectors`: what another encoder made of the organ, one token per vector.
        fields: names of a table's measurements.
        count: most vectors.
        values: numbers in a vector.
        image_size: voxels of a volume along D, H, W.
        patch_size: voxels of a patch along D, H, W.
        channels: channels of a volume.

    Source: ours; Pan-FM spec, section 2.2 (an organ is an opaque token set with its own embedder).
    """

    name: str
    kind: OrganKind = "vectors"
    fields: tuple[str, ...] = ()
    count: int = 0
    values: int = 0
    image_size: tuple[int, int, int] = (0, 0, 0)
    patch_size: tuple[int, int, int] = (0, 0, 0)
    channels: int = 1

    def __post_init__(self) -> None:
        if not self.name or "." in self.name or "/" in self.name:
            raise ValueError(f"an organ called {self.name!r} is impossible: give a name without '.' and '/'")
        if self.kind == "table" and (not self.fields or len(set(self.fields)) < len(self.fields)):
            raise ValueError(f"the table of {self.name} needs fields, each with a name of its own")
        if self.kind == "vectors" and min(self.count, self.values) < 1:
            raise ValueError(f"the vectors of {self.name} need count and values, at least 1 each")
        if self.kind == "volume":
            pairs = list(zip(self.image_size, self.patch_size, strict=True))
            if self.channels < 1 or any(patch < 1 or side < patch or side % patch for side, patch in pairs):
                raise ValueError(
                    f"the image_size {self.image_size} of {self.name} must be a multiple of its patch_size "
                    f"{self.patch_size}, with at least one channel"
                )

    @property
    def tokens(self) -> int:
        """Tokens of the organ where nothing of it is missing."""
        if self.kind == "volume":
            return math.prod(self.grid)
        return len(self.fields) if self.kind == "table" else self.count

    @property
    def grid(self) -> tuple[int, int, int]:
        """Patches of a volume along D, H, W."""
        return patch_grid(self.image_size, self.patch_size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the organ's values in one study."""
        if self.kind == "volume":
            return (self.channels, *self.image_size)
        return (len(self.fields),) if self.kind == "table" else (self.count, self.values)


def value_key(organ: str) -> str:
    """Key of a batch with an organ's values."""
    return f"organ.{organ}"


def known_key(organ: str) -> str:
    """Key of a batch that says which tokens of an organ are known, `(B, tokens)` bool; none where it is missing."""
    return f"known.{organ}"
