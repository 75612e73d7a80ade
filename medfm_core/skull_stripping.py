"""Skull stripping by HD-BET or SynthStrip where one of them is installed; neither is part of MedFM.

Both run in a process of their own on a NIfTI file with nothing of the patient in it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medfm_core.errors import InputError, MedFMError, ResourceError
from medfm_core.io import read_volume, write_scalar
from medfm_core.outside_programs import find_program, run_program
from medfm_core.progress import SILENT, Progress
from medfm_core.strict import unknown_name
from medfm_core.volume import Volume, resample_to

AUTO = "auto"
_COMMANDS = {"synthstrip": ("mri_synthstrip", "synthstrip-docker", "synthstrip-singularity"), "hd-bet": ("hd-bet",)}
TOOLS = tuple(_COMMANDS)
_LEAST_ML = 200.0


@dataclass(frozen=True)
class Stripper:
    """A tool that is here.

    Attributes:
        tool: of `TOOLS`.
        command: its program.
    """

    tool: str
    command: Path


def find_stripper(wish: str = AUTO) -> Stripper:
    """Find a tool.

    Args:
        wish: of `TOOLS`, or "auto" for the first that is here.

    Raises:
        InputError: there is no such tool.
        ResourceError: it is not installed.
    """
    if wish != AUTO and wish not in TOOLS:
        raise InputError(unknown_name("tool for skull stripping", wish, (AUTO, *TOOLS)), "choose a known one")
    for tool in TOOLS if wish == AUTO else (wish,):
        command = find_program(_COMMANDS[tool])
        if command is not None:
            return Stripper(tool, command)
    raise ResourceError(
        "no tool for skull stripping is installed" if wish == AUTO else f"{wish} is not installed",
        "install HD-BET (pip install hd-bet in an environment of its own, its command on the path) or FreeSurfer's "
        "mri_synthstrip, or give a scan that is stripped already",
    )


def strip_skull(volume: Volume, stripper: Stripper, progress: Progress = SILENT) -> Volume:
    """Set everything but the brain to 0.

    Args:
        volume: a head MRI.
        stripper: from `find_stripper`.
        progress: told when it begins; may cancel, which ends the process.

    Returns:
        The voxels of the brain as they are, on the same grid.

    Raises:
        ResourceError: the program failed.
        InputError: it found no brain.
    """
    with tempfile.TemporaryDirectory(prefix="medfm-") as name, progress.stage(f"Strip the skull by {stripper.tool}"):
        folder = Path(name)
        source, target = folder / "head.nii.gz", folder / "brain.nii.gz"
        write_scalar(Volume(volume.voxels, volume.affine), source)
        run_program([str(stripper.command), "-i", str(source), "-o", str(target)], folder, progress)
        try:
            brain = read_volume(target)
        except MedFMError as error:
            raise ResourceError(f"{stripper.tool} wrote no image that can be read", "try it by itself") from error
    mask = Volume((brain.voxels != 0).astype(np.float32), brain.affine)
    inside = mask.voxels > 0 if brain.grid.same_as(volume.grid) else resample_to(mask, volume.grid).voxels > 0.5
    if inside.sum() * float(np.prod(volume.spacing)) / 1000 < _LEAST_ML:
        raise InputError(f"{stripper.tool} found no brain in the image", "give an MRI of a whole head")
    return replace(volume, voxels=np.where(inside, volume.voxels, np.zeros((), volume.voxels.dtype)))
