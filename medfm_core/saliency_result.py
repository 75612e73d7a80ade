"""What a saliency map says about one finding, as reports take it; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medfm_core.volume import Volume


@dataclass(frozen=True, eq=False)
class SaliencyResult:
    """The map of one finding in one organ.

    Attributes:
        finding: of the catalogue, "lung_nodule".
        organ: as in the `OrganFinding` that it explains.
        heat: at least 0; on the scan's grid, or on any smaller grid within it, which takes less memory.
        method: of `medfm_core.saliency.METHODS`, or a name for readers.
        side: as in the `OrganFinding`.
        network_seconds: time inside the network for this map.
    """

    finding: str
    organ: str
    heat: Volume
    method: str
    side: str | None = None
    network_seconds: float = 0.0
