"""The template that brains are registered to: one that the user names, or one that another package brought along."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from medfm_core.brain_doubts import brain_placement
from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.settings import fsl_folder
from medfm_core.volume import Volume

_FSL = ("data", "standard", "MNI152_T1_1mm_brain.nii.gz")
_NILEARN = ("datasets", "data", "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")


def find_template(given: str | Path | None = None) -> Path:
    """Find a stripped T1 template in MNI space.

    Args:
        given: by the user; None for FSL's (FSLDIR) or else nilearn's, where one of them is installed.

    Raises:
        InputError: there is none.
    """
    if given is not None:
        if not Path(given).is_file():
            raise InputError(f"there is no template {given}", "give the file of a stripped brain in MNI space")
        return Path(given)
    fsl = fsl_folder()
    nilearn = importlib.util.find_spec("nilearn")  # which is not imported
    places = [fsl.joinpath(*_FSL)] if fsl else []
    places += [Path(folder, *_NILEARN) for folder in (nilearn.submodule_search_locations or ())] if nilearn else []
    for place in places:
        if place.is_file():
            return place
    raise InputError(
        "no MNI template is on this machine",
        "give one by --template, such as FSL's MNI152_T1_1mm_brain.nii.gz, or install nilearn, which brings one",
    )


def read_template(path: Path) -> Volume:
    """Read a template.

    Raises:
        InputError: it is not readable, or shows no stripped brain in MNI space.
    """
    template = read_volume(path)
    found = brain_placement(template)
    if not (found.is_stripped and found.is_in_mni):
        raise InputError(f"{path} is no stripped brain in MNI space", "give a template such as MNI152_T1_1mm_brain")
    return template
