"""Open a DICOM source: one image of a series, a folder, a DICOMDIR, or a list of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.dicom import tags
from medfm_core.io.dicom.frames import frame_count
from medfm_core.io.dicom.pixels import decode_stack
from medfm_core.io.dicom.scan import Scan, files_below, given_files, is_directory_record, quiet, read_dataset, scan
from medfm_core.io.dicom.series import Series, SeriesInfo, choose, describe_source, group_series
from medfm_core.io.dicom.stack import build_stack
from medfm_core.io.header import Header, Opened, checked_grid, grid_warnings


@quiet()
def open_dicom(paths: Sequence[Path], series: str | None = None) -> Opened:
    """Find the series that is meant and place its images.

    Args:
        paths: one folder (searched with all folders below it), one DICOMDIR (its folder is searched; the paths that it
            names are not followed), one image (its series within the same folder is taken), or several images.
        series: number, hash or description of the series where there are several.

    Raises:
        InputError: no DICOM, no volume, or several.
        GeometryError: places that are missing, damaged or make no even stack.
    """
    source = describe_source(paths)
    found, only = _find(paths)
    if not found.items:
        damaged = f" but {found.damaged} damaged DICOM files" if found.damaged else ""
        raise InputError(
            f"{source} holds no readable DICOM images{damaged}", "give a DICOM series, or a NIfTI, NRRD or MHA file"
        )
    every = group_series(found.items, source)
    if only is not None:
        every = [one for one in every if any(item.path == only for item in one.items)]
        if not every:
            raise InputError(f"{source} is a damaged DICOM file", "copy or export it again")
    chosen = choose(every, series, source)
    if chosen.error is not None:
        raise chosen.error
    return _opened(chosen, found)


@quiet()
def list_series(folder: str | Path) -> list[SeriesInfo]:
    """List the series in and below a folder.

    Raises:
        InputError: no such folder, or it cannot be read.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"{path} is no folder", "give the folder that holds the DICOM files")
    return [series.info for series in group_series(scan(files_below(path)).items, str(path))]


def _find(paths: Sequence[Path]) -> tuple[Scan, Path | None]:
    """Read the headers of what was given; with the file whose series is meant, if it was one image."""
    if len(paths) > 1:
        return scan(given_files(paths)), None
    path = paths[0]
    if path.is_dir():
        return scan(files_below(path)), None
    given_files(paths)
    header = read_dataset(path, force=True, stop_before_pixels=True)
    if header is None:
        raise InputError(f"{path} is a damaged DICOM file", "copy or export it again")
    if is_directory_record(header):
        return scan(files_below(path.parent)), None
    if frame_count(header) > 1:
        return scan([path]), path
    beside = scan(sorted(file for file in path.parent.iterdir() if file.is_file()))
    return Scan(beside.items, 0, 0), path


def _opened(series: Series, found: Scan) -> Opened:
    frames = series.frames
    first = series.items[0].header
    stack = build_stack(
        np.array([frame.position for frame in frames]), frames[0].orientation, frames[0].pixel_spacing, series.name
    )
    rows, columns = frames[0].size
    grid = checked_grid((columns, rows, len(stack.order)), stack.affine, series.name)
    info = series.info
    warnings = [*series.warnings, *stack.warnings, *grid_warnings(grid), *_value_warnings(first, info.modality)]
    if found.ignored:
        warnings.append(f"{found.ignored} files that are not DICOM were ignored.")
    if found.damaged:
        warnings.append(f"{found.damaged} DICOM files are damaged and were left out.")
    whole = all(float(frame.slope).is_integer() and float(frame.intercept).is_integer() for frame in frames)
    dtype = np.dtype(np.int16 if whole and tags.text(first, "BitsAllocated") in ("8", "16") else np.float32)
    header = Header(grid, dtype, "dicom", info.modality or None, tuple(warnings), _meta(first, info))
    return Opened(header, lambda: decode_stack(frames, stack, info.modality, series.name), series.name)


def _meta(header: Any, info: SeriesInfo) -> dict[str, Any]:
    """What later steps may want to know of the scan; nothing that identifies a patient."""
    known = {
        "number": info.number,
        "description": info.description,
        "images": info.images,
        "thickness_mm": info.thickness_mm,
        "hash": info.hash,
        "kernel": tags.text(header, "ConvolutionKernel"),
        "kvp": tags.text(header, "KVP"),
        "contrast_agent": bool(tags.text(header, "ContrastBolusAgent")),
    }
    return {"series": known}


def _value_warnings(header: Any, modality: str) -> list[str]:
    found = []
    if tags.text(header, "PhotometricInterpretation") == "MONOCHROME1":
        found.append("The series is meant to be shown inverted (MONOCHROME1); its values are taken as they are.")
    if modality != "CT":
        return found
    kind = tags.text(header, "RescaleType").upper()
    if kind and kind != "HU":
        found.append(f"The CT values are given as {kind}, not as Hounsfield units; thresholds in HU may not fit.")
    scaled = "RescaleIntercept" in header or "SharedFunctionalGroupsSequence" in header
    if not scaled:
        found.append("The CT header has no RescaleIntercept; stored values are taken as Hounsfield units.")
    return found
