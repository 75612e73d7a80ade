"""What made the vectors of a manifest of organs: `organs.json` beside it, which an exported model's card repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medfm_core.card_body import OrganSource
from medfm_core.embedding import Encoder
from medfm_core.errors import InputError
from medfm_core.io.atomic import atomic_text
from medfm_core.strict import from_dict, to_dict

NAME = "organs.json"


@dataclass(frozen=True)
class OrganMaking:
    """Which encoder made the vectors, and which of its units belong to which organ.

    Attributes:
        schema: of the file.
        encoder: card, weights and width.
        units: by organ, one vector per unit in this order; a unit that a study lacks is a row of NaN.
    """

    schema: Literal["medfm.organ_vectors.v1"]
    encoder: Encoder
    units: Mapping[str, tuple[str, ...]]

    def source(self, organ: str) -> OrganSource | None:
        """What a card says of an organ; None where this encoder does not make it."""
        made = self.encoder
        if organ not in self.units:
            return None
        return OrganSource(made.card, made.weights_sha256, made.width, tuple(self.units[organ]))


def making_of(encoder: Encoder, units: Mapping[str, tuple[str, ...]]) -> OrganMaking:
    """Say what makes the vectors of a manifest."""
    return OrganMaking("medfm.organ_vectors.v1", encoder, dict(units))


def write_making(making: OrganMaking, folder: Path) -> None:
    """Write `organs.json` into the folder of a manifest."""
    atomic_text(folder / NAME, json.dumps(to_dict(making, defaults=True), indent=1) + "\n")


def read_making(manifest: str | Path) -> OrganMaking | None:
    """What is known of the vectors of a manifest; None where nothing is.

    Raises:
        InputError: its `organs.json` cannot be used.
    """
    path = Path(manifest).parent / NAME
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error})", "make the organ vectors anew") from error
    return from_dict(OrganMaking, data, str(path))
