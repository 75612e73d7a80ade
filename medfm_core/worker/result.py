"""What the worker says of any result that it has made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medfm_core.results_folder import MANIFEST

if TYPE_CHECKING:
    from medfm_core.plausibility import Caution


class Made(Protocol):
    """What analyses of CT and of brain MRI have in common: doubts, and seconds per stage."""

    @property
    def cautions(self) -> Sequence[Caution]:
        """Doubts about the input and the result."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Per finished stage."""


def result_of(out: Path, made: Made) -> dict[str, Any]:
    """The keys of a "result" event that do not depend on the kind of scans.

    Args:
        out: folder of the result, written already.
        made: what was computed.
    """
    names = [MANIFEST, *json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"]]
    return {
        "out": str(out),
        "files": {name: str(out / name) for name in names},
        "warnings": [{"code": caution.code, "sentence": caution.sentence} for caution in made.cautions],
        "seconds": round(sum(made.seconds.values()), 2),
    }
