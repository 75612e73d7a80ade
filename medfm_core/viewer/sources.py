"""What is shown: a folder of results and the scan that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, eq=False)
class ShownBrain:
    """What the viewer opens of brain MRI.

    Attributes:
        result: what was found.
        scans: each scan by its name in the result; black where it was not given.
        given: names of the scans that were given.
    """

    result: Result
    scans: Mapping[str, Volume]
    given: tuple[str, ...]

    @property
    def has_scan(self) -> bool:
        """Whether all scans are there."""
        return len(self.given) == len(self.scans)


def open_any(folder: str | Path, scans: Sequence[str | Path], series: str | None = None) -> Shown | ShownBrain:
    """Read a result and what it was made of.

    Args:
        folder: of a result of `medfm analyze`.
        scans: what was analysed, of CT one at most; none looks whether it is the sample that comes with MedFM.
        series: which series of a DICOM folder.

    Raises:
        InputError: there is no result, it is damaged, or a scan is another one.
    """
    from MedFMLib.results import ResultError, read_result

    try:
        result = read_result(folder)
    except ResultError as error:
        raise InputError(str(error).rstrip("."), "give the folder that `medfm analyze --out` made") from error
    if result.is_brain:
        return _open_brain(result, scans, series)
    if len(scans) > 1:
        raise InputError(f"the result in {folder} is of one CT, and {len(scans)} scans are given", "give that one")
    return open_result(folder, scans[0] if scans else None, series)


def _open_brain(result: Result, paths: Sequence[str | Path], series: str | None) -> ShownBrain:
    """Each file finds its place by its voxels, for scans of one study may lie on one grid."""
    try:
        form = result.manifest.get("options", {}).get("nifti_form", "auto")
        grids = {scan.name: _grid(scan.grid) for scan in result.scans}
        digests = {scan.name: str(scan.grid["voxels_sha256"]) for scan in result.scans}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the result in {result.folder} is damaged", "analyse the scans anew") from error
    found: dict[str, Volume] = {}
    for path in paths:
        volume = read_volume(path, series=series, nifti_form=form)
        digest = voxel_hash(volume)
        names = [name for name, known in digests.items() if known == digest and name not in found]
        if not names:
            raise InputError(
                f"the result in {result.folder} was not made of {path}", "give the scans that were analysed"
            )
        found[names[0]] = volume
    black = {n: Volume(np.zeros(shape, np.int16), affine, modality="MR") for n, (shape, affine) in grids.items()}
    return ShownBrain(result, {**black, **found}, tuple(found))


def _grid(entry: Mapping[str, Any]) -> tuple[tuple[int, ...], Affine]:
    shape = tuple(int(size) for size in entry["shape"])
    return shape, Affine(np.array(entry["affine_ras"], dtype=np.float64))


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
        (shape, affine), digest = _grid(asked), str(asked["voxels_sha256"])
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
