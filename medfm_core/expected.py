"""How long an analysis will take, from the size of the scan and what earlier runs on this machine took. No torch here.

After each run `remember` keeps its seconds in the user's cache, by model and device; the next scan's are those,
scaled: the segmenter's by the voxels of its own grid, reading and writing by the scan's, the organ-wise stages not at
all. Until there was a run, typical figures of two cores of a server CPU stand in, and are said to be that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.errors import MedFMError
from medfm_core.io import atomic_text
from medfm_core.pipeline import BODY_STAGES, FINDINGS_STAGES, STAGES
from medfm_core.settings import read_hub_settings

if TYPE_CHECKING:
    from medfm_core.analysis import Analysis
    from medfm_core.cards import ModelCard
    from medfm_core.geometry import Grid

SPEEDS = "speeds.json"
MEASURED, TYPICAL, UNKNOWN = "measured on this machine", "typical of two CPU cores", "not known"
_ENCODED = (*FINDINGS_STAGES, *BODY_STAGES)
TITLES = {stage.name: stage.title for stage in (*STAGES[:-1], *_ENCODED, STAGES[-1])}
_BY_MODEL_GRID, _ORGAN_WISE = ("segment",), ("plan", *(stage.name for stage in _ENCODED))
# The shipped models on the shipped sample, 1.6 million voxels at 3 mm.
_TYPICAL_SECONDS = {
    "plan": 0.05, "read": 0.05, "check": 0.05, "segment": 10.0, "measure": 0.05, "encode": 0.4, "findings": 0.1,
    "saliency": 2.5, "write": 0.3,
}  # fmt: skip
_TYPICAL_VOXELS = 1.6e6


@dataclass(frozen=True)
class Expected:
    """What an analysis will take.

    Attributes:
        stages: seconds by the title of the pipeline's stage, or where `basis` is `UNKNOWN` shares of the work.
        basis: `MEASURED`, `TYPICAL` or `UNKNOWN`.
    """

    stages: Mapping[str, float]
    basis: str

    @property
    def seconds(self) -> float | None:
        """Of the whole; None where nothing is known of the device."""
        return None if self.basis == UNKNOWN else sum(self.stages.values())


def expect(grid: Grid, card: ModelCard, findings_card: ModelCard | None, device: str) -> Expected:
    """Say how long the analysis of a scan will take.

    Args:
        grid: the scan's.
        card: the segmenter.
        findings_card: the findings model; None where there is none.
        device: "cpu", "cuda", "cuda:1" or "mps".
    """
    known = read_speeds().get(_key(card, findings_card, device))
    seconds: Mapping[str, float] = known["seconds"] if known else _TYPICAL_SECONDS
    before = (known["model_voxels"], known["voxels"]) if known else (_TYPICAL_VOXELS, _TYPICAL_VOXELS)
    now = _model_voxels(grid, card), float(grid.voxels)
    stages = {}
    for name, title in TITLES.items():
        if name in seconds and (findings_card is not None or name not in _findings_stages()):
            factor = (
                1.0 if name in _ORGAN_WISE else now[name not in _BY_MODEL_GRID] / before[name not in _BY_MODEL_GRID]
            )
            stages[title] = seconds[name] * factor
    basis = MEASURED if known else TYPICAL if kind_of(device) == "cpu" else UNKNOWN
    return Expected(stages, basis)


def remember(analysis: Analysis) -> None:
    """Keep the seconds of a finished analysis; a cache that cannot be written is no reason to fail."""
    key = _key(analysis.card, analysis.findings_card, analysis.segmentation.device)
    entry = {
        "model_voxels": _model_voxels(analysis.image.grid, analysis.card),
        "voxels": float(analysis.image.grid.voxels),
        "seconds": {name: round(seconds, 4) for name, seconds in analysis.seconds.items()},
    }
    write_speed(key, entry)


def write_speed(key: str, entry: Mapping[str, object]) -> None:
    """Keep the seconds of one kind of run: `model_voxels`, `voxels` and `seconds` by the name of the stage."""
    with suppress(OSError, MedFMError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(path, json.dumps(read_speeds() | {key: entry}, indent=1) + "\n")


def _findings_stages() -> set[str]:
    return {stage.name for stage in _ENCODED}


def _key(card: ModelCard, findings_card: ModelCard | None, device: str) -> str:
    return f"{card.id} {findings_card.id if findings_card else '-'} {kind_of(device)}"


def kind_of(device: str) -> str:
    """What speeds are kept by: "cuda" of "cuda:1"."""
    return device.split(":")[0]


def _model_voxels(grid: Grid, card: ModelCard) -> float:
    """How many voxels the scan has on the segmenter's grid."""
    spacing = card.input.spacing_mm or grid.affine.spacing
    return math.prod(max(1.0, mm / step) for mm, step in zip(sorted(grid.extent_mm), sorted(spacing), strict=True))


def _path() -> Path:
    return read_hub_settings().cache / SPEEDS


def read_speeds() -> dict[str, dict]:
    """Earlier runs by model and device; those that are not as `write_speed` takes them are passed over."""
    try:
        data = json.loads(_path().read_text(encoding="utf-8"))
        return {key: entry for key, entry in data.items() if _is_entry(entry)}
    except (OSError, ValueError, RecursionError, AttributeError, MedFMError):
        return {}


def _is_entry(entry: object) -> bool:
    try:
        numbers = [entry["model_voxels"], entry["voxels"], *entry["seconds"].values()]
        return (
            all(isinstance(n, (int, float)) and math.isfinite(n) and n >= 0 for n in numbers) and min(numbers[:2]) > 0
        )
    except (KeyError, TypeError, AttributeError):
        return False
