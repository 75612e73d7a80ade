"""TotalSegmentator, where the user has installed it: run as a process of its own, its label map brought back exactly.

MedFM never installs it and never imports it. The process gets a copy of the scan in a private folder and an environment
without keys; its own usage statistics are turned off for it, and its settings and weights stay as the user has them.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.anatomy import load_vocabulary
from medfm_core.cards import ModelCard
from medfm_core.errors import MedFMError, ModalityError, ResourceError, WeightsError
from medfm_core.io import atomic_text, read_volume, write_scalar
from medfm_core.outside_programs import Product, find_program, run_program
from medfm_core.progress import SILENT, Progress
from medfm_core.segmentation import Segmentation
from medfm_core.settings import (
    read_hub_settings,
    total_segmentator_command,
    total_segmentator_environment,
    total_segmentator_weights,
)
from medfm_core.strict import from_dict
from medfm_core.volume import Kind, Volume, resample_to

log = logging.getLogger(__name__)

ARCHITECTURE = "totalsegmentator"
COMMAND = "TotalSegmentator"
_SAME_MM = 1e-3


@dataclass(frozen=True)
class TotalSegmentatorTask:
    """What is run; a card's `architecture` entry holds these fields.

    Attributes:
        task: its name for the task.
        fast: whether its 3 mm model is used.
        datasets: numbers of the weights that must be there: an analysis fetches nothing.
    """

    task: str = "total"
    fast: bool = False
    datasets: tuple[int, ...] = ()


class TotalSegmentatorPredictor:
    """Segments by the installed TotalSegmentator, like an `OrganPredictor`.

    Args:
        card: a card of architecture `totalsegmentator`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        settings: what other predictors take besides; threads and tiles are the program's own affair.

    Raises:
        ResourceError: it is not installed.
        WeightsError: its weights are not there.
    """

    def __init__(self, card: ModelCard, device: str = "auto", **settings: Any) -> None:
        self.card, self.device = card, device
        self.task = from_dict(
            TotalSegmentatorTask, dict(card.architecture.options), f"{card.id}: architecture", WeightsError
        )
        self.command = check_installed(card)

    def __call__(self, volume: Volume, progress: Progress = SILENT) -> Segmentation:
        """Segment one CT.

        Args:
            volume: a CT in HU.
            progress: told when it begins; may cancel, which ends the process.

        Raises:
            ModalityError: the volume says that it is no CT.
            ResourceError: the program failed.
        """
        if volume.modality and volume.modality not in self.card.input.modality:
            raise ModalityError(f"{self.card.id} was made for CT, this is {volume.modality}", "choose another --model")
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="medfm-") as folder, progress.stage(COMMAND):
            source, target = Path(folder, "ct.nii.gz"), Path(folder, "labels.nii.gz")
            write_scalar(Volume(volume.voxels, volume.affine), source)
            self._run(source, target, progress)
            labels = _on_grid(_read(target), volume)
        seconds = {"network": time.perf_counter() - start}
        return Segmentation(labels, self.card, self.card.classes, self.device, "as the package chooses", seconds)

    def _run(self, source: Path, target: Path, progress: Progress) -> None:
        order = [str(self.command), "-i", str(source), "-o", str(target), "--ml", "--task", self.task.task]
        order += ["--device", _device(self.device), "--quiet", *(["--fast"] if self.task.fast else [])]
        run_program(
            order,
            source.parent,
            progress,
            environment=total_segmentator_environment(_quiet_home()),
            product=Product(target, "label map"),
            advice=f"try {COMMAND} by itself on a NIfTI file, or choose another --model",
        )


def find_command() -> Path | None:
    """The program: where MEDFM_TOTALSEGMENTATOR says, beside this Python, or on the path; None where there is none."""
    wished = total_segmentator_command()
    if wished is not None:
        return wished if wished.is_file() else None
    return find_program((COMMAND,))


def check_installed(card: ModelCard) -> Path:
    """Find the program and its weights.

    Args:
        card: a card of architecture `totalsegmentator`.

    Returns:
        The program.

    Raises:
        ResourceError: it is not installed.
        WeightsError: its weights are not there.
    """
    command = find_command()
    if command is None:
        raise ResourceError(
            f"{card.id} runs the program {COMMAND}, which is not here",
            f"run pip install {COMMAND} in an environment of its own and set MEDFM_TOTALSEGMENTATOR to its command",
        )
    folder, options = total_segmentator_weights(), card.architecture.options
    if any(not list(folder.glob(f"Dataset{number}_*")) for number in options.get("datasets", ())):
        name = f"{options.get('task')}{'_fast' if options.get('fast') else ''}"
        raise WeightsError(
            f"the weights of {COMMAND} for {card.id} are not in {folder} (about 0.3 GB per part, licence "
            f"{card.licence})",
            f"run totalseg_download_weights -t {name}, or set TOTALSEG_WEIGHTS_PATH to their folder",
        )
    return command


def _quiet_home() -> Path:
    """A settings folder for the process, in which its usage statistics are turned off."""
    home = read_hub_settings().cache / "totalsegmentator"
    home.mkdir(parents=True, exist_ok=True)
    settings = {"totalseg_id": "medfm", "send_usage_stats": False, "prediction_counter": 0}
    atomic_text(home / "config.json", json.dumps(settings, indent=1) + "\n")
    return home


def _read(path: Path) -> Volume:
    try:
        found = read_volume(path)
    except MedFMError as error:
        raise ResourceError(f"the label map of {COMMAND} cannot be read: {error.what}", "report it") from error
    rounded = np.rint(found.voxels)
    if not (rounded == found.voxels).all() or rounded.min() < 0 or rounded.max() > 255:
        raise ResourceError(f"the label map of {COMMAND} does not hold labels", "report it")
    return Volume(rounded.astype(np.uint8), found.affine, Kind.LABEL)


def _on_grid(labels: Volume, volume: Volume) -> Volume:
    """Labels on exactly the scan's grid; numbers that are not in the vocabulary's 117 count as background.

    The numbers of its task `total` are those of the vocabulary, which were taken from it.
    """
    same = labels.shape == volume.shape and np.allclose(labels.affine.matrix, volume.affine.matrix, atol=_SAME_MM)
    voxels = labels.voxels if same else resample_to(labels, volume.grid).voxels
    table = np.zeros(256, np.uint8)
    for organ in load_vocabulary().organs:
        table[organ.id] = organ.id
    return Volume(table[voxels], volume.affine, Kind.LABEL, volume.modality, volume.meta)


def _device(wish: str) -> str:
    """A device in its words; it takes the CPU by itself where there is no GPU."""
    words: Mapping[str, str] = {"auto": "gpu", "cuda": "gpu"}
    return words.get(wish, wish.replace("cuda:", "gpu:"))
