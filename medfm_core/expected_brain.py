"""How long the analysis of brain MRI will take, from what the last one on this machine took. No torch here.

An encoder sees every scan in a box of one size, so seconds are kept per scan, whatever its grid. Before the first run
nothing is said: models differ by a hundred times in work, and no figure would be typical of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medfm_core.brain_stages import LOAD, STAGES, WRITE
from medfm_core.expected import MEASURED, UNKNOWN, Expected, kind_of, read_speeds, write_speed

if TYPE_CHECKING:
    from medfm_core.brain_study import BrainOptions, BrainStudy
    from medfm_core.cards import ModelCard

# Of the work before the first run: only how the bar moves, never told as a time.
_SHARES = {"load": 1.0, "read": 0.5, "prepare": 5.0, "encode": 2.0, "saliency": 4.0, "write": 2.0}


@dataclass(frozen=True)
class BrainRun:
    """What a run will do.

    Attributes:
        names: of the scans.
        options: of the run.
    """

    names: Sequence[str]
    options: BrainOptions


def expect_brain(run: BrainRun, card: ModelCard, device: str) -> Expected:
    """Say how long the analysis of a study will take.

    Args:
        run: its scans and options.
        card: the encoder.
        device: "cpu", "cuda", "cuda:1" or "mps".

    Returns:
        Seconds by the title of each stage of each scan; shares of the work where `basis` is `UNKNOWN`.
    """
    known = read_speeds().get(_key(card, run.options, device))
    seconds = known["seconds"] if known else _SHARES
    options, stages = run.options, {LOAD: seconds.get("load", 0.0)}
    wanted = {"prepare": options.register or options.strip is not None, "saliency": options.saliency}
    for name in run.names:
        for stage, title in STAGES.items():
            if wanted.get(stage, True):
                stages[title.format(name)] = seconds.get(stage, 0.0)
    stages[WRITE] = seconds.get("write", 0.0) * len(run.names)
    return Expected(stages, MEASURED if known else UNKNOWN)


def remember_brain(study: BrainStudy) -> None:
    """Keep the seconds of a finished analysis, per scan; a cache that cannot be written is no reason to fail."""
    count = len(study.scans)
    per_scan = {name: seconds / (1 if name == "load" else count) for name, seconds in study.seconds.items()}
    voxels = sum(scan.image.grid.voxels for scan in study.scans) / count
    entry = {
        "model_voxels": 1.0,
        "voxels": float(voxels),
        "seconds": {name: round(value, 4) for name, value in per_scan.items()},
    }
    write_speed(_key(study.card, study.options, study.device), entry)


def _key(card: ModelCard, options: BrainOptions, device: str) -> str:
    prepared = f"{options.strip or '-'} {'registered' if options.register else '-'}"
    return f"{card.id} {prepared} {kind_of(device)}"
