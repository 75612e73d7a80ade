"""What is shown: a folder of results and the scan that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.io import read_volume
from medfm_core.settings import read_settings
from medfm_core.volume import Volume
from medfm_core.voxel_hash import voxel_hash

if TYPE_CHECKING:
    from MedFMLib.results import Result

SAMPLE = ("sample", "chest_ct_3mm.nii.gz")
AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class Shown:
    """What the viewer opens.

    Attributes:
        result: what was found.
        scan: what it was found in; all air where the scan was not given.
        has_scan: whether `scan` is the scan itself.
    """

    result: Result
    scan: Volume
    has_scan: bool


def open_result(folder: str | Path, scan: str | Path | None, series: str | None = None) -> Shown:
    """Read a result and its scan.

    Args:
        folder: of a result of `medfm analyze`.
        scan: the analysed CT; None looks whether it is the sample that comes with MedFM.
        series: which series of a DICOM folder.

    Raises:
        InputError: there is no result, it is damaged, or the scan is another one.
    """
    from MedFMLib.results import ResultError, read_result

    try:
        result = read_result(folder)
        asked = result.manifest["input"]
        affine = Affine(np.array(asked["affine_ras"], dtype=np.float64))
        shape, digest = tuple(int(size) for size in asked["shape"]), str(asked["voxels_sha256"])
        form = result.manifest["options"].get("nifti_form", "auto")
    except ResultError as error:
        raise InputError(str(error).rstrip("."), "give the folder that `medfm analyze --out` made") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the result in {folder} is damaged", "analyse the scan anew") from error
    if scan is not None:
        volume = read_volume(scan, series=series, nifti_form=form)
        if voxel_hash(volume) != digest:
            raise InputError(f"the result in {folder} was not made of {scan}", "give the scan that was analysed")
        return Shown(result, volume, True)
    sample = read_settings().resources.joinpath(*SAMPLE)
    if sample.is_file():
        volume = read_volume(sample)
        if voxel_hash(volume) == digest:
            return Shown(result, volume, True)
    return Shown(result, Volume(np.full(shape, AIR_HU, np.int16), affine), False)
