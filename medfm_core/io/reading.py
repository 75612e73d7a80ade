"""Read any supported image as a `Volume`, or only its header."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.detect import detect
from medfm_core.io.header import Header, Opened, check_memory
from medfm_core.io.values import finish
from medfm_core.volume import Kind, Volume

Source = str | Path | Sequence[str | Path]


def read_volume(
    source: Source, *, series: str | None = None, kind: Kind = Kind.IMAGE, nifti_form: str = "auto"
) -> Volume:
    """Read an image or label map; the content decides the format, not the name.

    Args:
        source: a NIfTI, NRRD or MHA/MHD file; a DICOM image, folder, DICOMDIR, or a list of DICOM files.
        series: number, hash or description of a DICOM series where there are several.
        kind: `Kind.IMAGE` gives uint8, int16 or float32, finite and not blank; `Kind.LABEL` uint8, uint16 or int32.
        nifti_form: which position of a NIfTI file counts: "auto" (the sform if usable), "sform" or "qform".

    Returns:
        The volume as it lies in the file, `(I, J, K)` Fortran-ordered; `modality` is known only where the format says
        it. meta: "format", "warnings" (sentences), "source_affine", and where they apply "series", "padding_voxels",
        "non_finite_voxels", "nifti_forms".

    Raises:
        InputError: missing, damaged, or not one 3D volume of grey values.
        GeometryError: a position, spacing or orientation that cannot be trusted.
        ResourceError: more memory or another decoder is needed.
    """
    opened = _open(source, series, nifti_form)
    check_memory(opened.header.bytes, opened.name)
    return finish(opened.header, opened.decode(), kind, opened.name)


def read_header(source: Source, series: str | None = None, *, nifti_form: str = "auto") -> Header:
    """Read what an input says of itself without decoding voxels; arguments and errors as in `read_volume`."""
    return _open(source, series, nifti_form).header


def _open(source: Source, series: str | None, nifti_form: str) -> Opened:
    paths = _paths(source)
    path = paths[0]
    format_ = "dicom" if len(paths) > 1 or _is_folder(path) else detect(_header_of(path))
    if format_ != "nifti" and nifti_form != "auto":
        raise InputError(f"{path} is no NIfTI file, so it has no {nifti_form}", "leave --nifti-form out")
    if format_ == "dicom":
        return _open_dicom(paths, series)
    if series is not None:
        raise InputError(f"{path} is no DICOM series, so it has no series {series!r}", "leave --series out")
    if format_ == "nifti":
        from medfm_core.io.nifti import open_nifti

        return open_nifti(path, nifti_form)
    if format_ == "nrrd":
        from medfm_core.io.nrrd import open_nrrd

        return open_nrrd(path)
    from medfm_core.io.metaimage import open_metaimage

    return open_metaimage(path)


def _open_dicom(paths: list[Path], series: str | None) -> Opened:
    from medfm_core.io.dicom import open_dicom

    return open_dicom(paths, series)


def _paths(source: Source) -> list[Path]:
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(part) for part in source]
    if not paths:
        raise InputError("no input file was given", "give an image file or a DICOM folder")
    folders = [path for path in paths if len(paths) > 1 and _is_folder(path)]
    if folders:
        raise InputError(f"{folders[0]} is a folder within a list of files", "give one folder alone, or files only")
    return paths


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _header_of(path: Path) -> Path:
    """The file whose content tells the format: the .hdr of an .img, else the file itself."""
    for packed in ("", ".gz"):
        if path.name.lower().endswith(".img" + packed):
            for end in ("", ".gz"):
                header = path.with_name(path.name[: -len(".img" + packed)] + ".hdr" + end)
                if os.path.isfile(header):  # unlike Path.is_file it answers for impossible names too
                    return header
    return path
