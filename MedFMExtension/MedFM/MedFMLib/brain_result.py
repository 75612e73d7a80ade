"""The scans of a result of brain MRI, as its manifest lists them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = "medfm.analysis.brain."


@dataclass(frozen=True)
class ScanResult:
    """What was made of one scan.

    Attributes:
        name: "T1w", "FLAIR", or "FLAIR-2" for a second one.
        grid: what the manifest says of it: `shape`, `affine_ras` and more.
        saliency: its map; None where none was made.
        routing: label map of each block with experts, by the block's number; expert e has the value e + 1.
    """

    name: str
    grid: Mapping[str, Any]
    saliency: Path | None
    routing: Mapping[int, Path]


def scans_of(folder: Path, manifest: Mapping[str, Any]) -> tuple[ScanResult, ...]:
    """The scans of a result, in the order in which they were given; none for a result of CT.

    Raises:
        KeyError, TypeError, AttributeError: the manifest is damaged.
    """
    if not str(manifest["schema"]).startswith(SCHEMA):
        return ()
    return tuple(scan_of(name, entry, folder, manifest["files"]) for name, entry in manifest["scans"].items())


def expert_colours(manifest: Mapping[str, Any]) -> tuple[tuple[int, int, int], ...]:
    """A colour per expert, red, green, blue; empty where the manifest has none."""
    colours = (manifest.get("experts") or {}).get("colours") or ()
    return tuple((int(red), int(green), int(blue)) for red, green, blue in colours)


def scan_of(name: str, entry: Mapping[str, Any], folder: Path, files: Collection[str]) -> ScanResult:
    """One scan and those of some files of a folder that are its maps.

    Raises:
        KeyError, TypeError: the entry is damaged.
    """
    entry["shape"], entry["affine_ras"]  # a damaged entry is told now, not when it is shown
    pattern = re.compile(rf"routing_{re.escape(name)}_block(\d+)\.nii\.gz")
    blocks = {int(match[1]): folder / file for file in files if (match := pattern.fullmatch(file))}
    heat = f"saliency_{name}.nii.gz"
    return ScanResult(name, entry, folder / heat if heat in files else None, dict(sorted(blocks.items())))
