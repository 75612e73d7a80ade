"""What a result of brain MRI can show over its scans: saliency, and which expert of the model serves which place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .results import Result

SALIENCY, ROUTING = "saliency", "routing"
_SAYS = {
    SALIENCY: (
        "Bright is what the vector of this scan is made of; it is not what is abnormal. Research use only, not a "
        "diagnosis."
    ),
    ROUTING: (
        "Each colour is the expert of the model that weighs most there; experts have no names, and none stands for a "
        "disease. Research use only, not a diagnosis."
    ),
}


@dataclass(frozen=True)
class BrainMap:
    """One map.

    Attributes:
        key: tells it from the others of its result.
        kind: `SALIENCY` or `ROUTING`.
        scan: name of its scan in the result.
        path: its file.
        title: for menus and legends.
    """

    key: str
    kind: str
    scan: str
    path: Path
    title: str

    @property
    def wording(self) -> str:
        """What it shows and what it does not."""
        return _SAYS[self.kind]


def brain_maps(result: Result | None) -> tuple[BrainMap, ...]:
    """The maps of a result, the saliency of every scan first; none for a result of CT."""
    scans = () if result is None else result.scans
    found = [
        BrainMap(f"{SALIENCY} {scan.name}", SALIENCY, scan.name, scan.saliency, f"Saliency of {scan.name}")
        for scan in scans
        if scan.saliency is not None
    ]
    for scan in scans:
        for block, path in scan.routing.items():
            title = f"Experts of block {block}, {scan.name}"
            found.append(BrainMap(f"{ROUTING} {scan.name} {block}", ROUTING, scan.name, path, title))
    return tuple(found)
