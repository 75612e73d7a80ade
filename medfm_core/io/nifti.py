"""Read NIfTI-1 and NIfTI-2: one file or a .hdr/.img pair, plain or gzip.

The header is checked field by field before anything is allocated. Where it gives two positions, the sform counts (as in
nibabel and FSL) unless it is unusable or the caller asks for the qform; that they disagree is a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.geometry import Affine, Grid
from medfm_core.io.header import Decoded, Header, Opened, checked_affine, checked_grid, grid_warnings, regular_file
from medfm_core.io.nifti_header import SIZES, NiftiHeader, parse_header
from medfm_core.io.payload import check_held, read_array, read_start
from medfm_core.io.values import rescale, rescaled_type

FORMS = ("auto", "sform", "qform")
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_REFUSED = {
    1: "single bits", 32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers", 1536: "128-bit floats",
    128: "RGB colours", 2304: "RGBA colours",
}  # fmt: skip
_UNITS = {1: "metres", 3: "micrometres"}
_APART_MM = 0.5  # corners of sform and qform closer than this agree


@np.errstate(all="ignore")  # what is not finite is refused by name
def open_nifti(path: Path, form: str = "auto") -> Opened:
    """Read the header of a NIfTI file.

    Args:
        path: .nii, .nii.gz, .hdr or .img.
        form: which position counts: "auto" (the sform if it is usable), "sform" or "qform".

    Raises:
        InputError: no 3D volume of real numbers, or a damaged header.
        GeometryError: no usable position.
    """
    if form not in FORMS:
        raise InputError(f"{form!r} names no NIfTI position", f"give one of {', '.join(FORMS)}")
    header_path, data_path = _pair(path)
    header = _parse(header_path)
    name = str(path)
    if header_path == data_path and header.fields["magic"].tobytes().startswith(b"ni"):
        raise InputError(
            f"{name} says that its voxels lie in an .img file", "give the .hdr file with the .img beside it"
        )
    dtype = _dtype(header, name)
    warnings: list[str] = []
    shape = _shape(header, name)
    affine = _position(header, shape, form, name, warnings)
    grid = checked_grid(shape, affine, name)
    start = _data_start(header, header_path != data_path, name, warnings)
    slope, intercept = _scaling(header, name, warnings)
    meta = {"nifti_forms": _forms(header)}
    compression = "deflate" if _is_gzip(data_path) else "raw"
    first, skip = (start, 0) if compression == "raw" else (0, start)
    check_held(data_path, skip + grid.voxels * dtype.itemsize, start=first, compression=compression)
    warnings += grid_warnings(grid)
    found = Header(grid, rescaled_type(dtype, slope, intercept), "nifti", None, tuple(warnings), meta)

    def decode() -> Decoded:
        stored = read_array(data_path, grid.shape, dtype, start=first, compression=compression, skip=skip)
        return Decoded(rescale(stored, slope, intercept))

    return Opened(found, decode, name)


def _pair(path: Path) -> tuple[Path, Path]:
    """Find where header and voxels are: the same file unless the name ends in .hdr or .img."""
    name = path.name
    for suffix, other in ((".hdr", ".img"), (".img", ".hdr")):
        for packed in ("", ".gz"):
            if name.lower().endswith(suffix + packed):
                stem = name[: -len(suffix + packed)]
                found = [path.with_name(stem + other + end) for end in ("", ".gz")]
                partner = next((p for p in found if p.is_file()), None)
                if partner is None:
                    if suffix == ".hdr" and _parse(path).fields["magic"].tobytes().startswith(b"n+"):
                        return path, path
                    raise InputError(f"{path} needs {found[0].name} beside it", "put both files into one folder")
                return (path, partner) if suffix == ".hdr" else (partner, path)
    return path, path


def _parse(path: Path) -> NiftiHeader:
    """Read the header's fields."""
    regular_file(path)
    try:
        header = parse_header(read_start(path, max(SIZES.values())))
    except EOFError as error:
        raise InputError(f"{path} is cut off within its header", "copy or export it again") from error
    if header is None:
        raise InputError(f"{path} has no NIfTI header", "copy or export it again")
    zooms = header.fields["pixdim"]
    zooms[0] = -1 if zooms[0] == -1 else 1  # what is neither 1 nor -1 means 1, as nibabel reads it
    zooms[1:4] = np.abs(zooms[1:4])
    return header


def _is_gzip(path: Path) -> bool:
    regular_file(path)
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _dtype(header: NiftiHeader, name: str) -> np.dtype:
    code = int(header.fields["datatype"])
    if code in _REFUSED:
        raise InputError(f"{name} holds {_REFUSED[code]}, no grey values", "export the scan with one number per voxel")
    if code not in _DTYPES:
        raise InputError(f"{name} has the unknown NIfTI datatype {code}", "copy or export it again")
    return np.dtype(_DTYPES[code]).newbyteorder(header.order)


def _shape(header: NiftiHeader, name: str) -> tuple[int, ...]:
    dims = [int(n) for n in header.fields["dim"]]
    if not 1 <= dims[0] <= 7:
        raise InputError(f"{name} announces {dims[0]} dimensions", "copy or export it again")
    sizes = dims[1 : dims[0] + 1]
    if min(sizes) < 1:
        raise InputError(
            f"{name} announces the impossible size {' x '.join(map(str, sizes))}",
            "write it again, as NIfTI-2 if it is huge",
        )
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) > 3:
        more = int(np.prod(sizes[3:], dtype=object))
        raise InputError(f"{name} holds {more} volumes ({len(sizes)}D), not one", "split it and give one of them")
    return tuple(sizes)


def _position(header: NiftiHeader, shape: tuple[int, ...], form: str, name: str, warnings: list[str]) -> Affine:
    """Choose between sform and qform."""
    unit = int(header.fields["xyzt_units"]) & 7
    if unit in _UNITS:
        raise GeometryError(f"{name} gives its lengths in {_UNITS[unit]}", "write it again in millimetres")
    has_sform, has_qform = bool(header.fields["sform_code"] != 0), bool(header.fields["qform_code"] != 0)
    sform = _usable(header.sform) if has_sform else None
    qform = _usable(header.qform) if has_qform else None
    if form != "auto":
        chosen = sform if form == "sform" else qform
        if chosen is None:
            raise GeometryError(f"{name} has no usable {form}", "leave --nifti-form out, or give another file")
        return chosen
    if has_sform and sform is None:
        if qform is None:
            raise GeometryError(f"{name} has no usable position: its sform is NaN, zero or singular", "write it again")
        warnings.append("The NIfTI sform is unusable (NaN, zero or singular); the qform gives the position.")
    if has_qform and qform is None and sform is None:
        raise GeometryError(f"{name} has no usable position: its qform is damaged", "write it again")
    if sform is not None and qform is not None and len(shape) == 3:
        apart = np.linalg.norm(Grid(shape, sform).corners() - Grid(shape, qform).corners(), axis=1).max()
        if apart > _APART_MM:
            warnings.append(
                f"The NIfTI sform and qform disagree by up to {apart:.4g} mm; the sform gives the position "
                "(choose the other with --nifti-form qform)."
            )
    if sform is not None or qform is not None:
        return sform if sform is not None else qform
    warnings.append(
        "The NIfTI header gives no position (sform and qform code 0); the axes are taken as left, anterior, superior, "
        "so left and right may be exchanged."
    )
    zooms = np.abs(np.asarray(header.fields["pixdim"][1:4], dtype=np.float64))
    if not np.isfinite(zooms).all() or zooms.min() == 0:
        raise GeometryError(f"{name} gives neither a position nor a voxel size", "write it again with its true spacing")
    return checked_affine(header.plain_affine(), name)


def _usable(read: Callable[[], np.ndarray | None]) -> Affine | None:
    """The affine that `read` gives, or None if it is damaged."""
    try:
        matrix = read()
        return None if matrix is None else Affine(matrix)
    except GeometryError:
        return None


def _data_start(header: NiftiHeader, is_pair: bool, name: str, warnings: list[str]) -> int:
    """Byte at which the voxels begin."""
    offset = float(header.fields["vox_offset"])
    lowest = 0 if is_pair else SIZES[header.version] + 4
    if not np.isfinite(offset) or offset < 0 or offset > 2**40 or offset != int(offset):
        raise InputError(f"{name} says that its voxels begin at byte {offset:g}", "copy or export it again")
    if offset < lowest:
        if offset:
            raise InputError(f"{name} says that its voxels begin within the header", "copy or export it again")
        warnings.append("The NIfTI header does not say where the voxels begin; they are read from behind the header.")
    return max(int(offset), lowest)


def _scaling(header: NiftiHeader, name: str, warnings: list[str]) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means none, by the standard, and NaN is taken so as nibabel does."""
    slope, intercept = float(header.fields["scl_slope"]), float(header.fields["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not np.isfinite(slope):
        raise InputError(f"{name} has the infinite scl_slope {slope}", "write it again with its true intensity scale")
    if not np.isfinite(intercept):
        raise InputError(f"{name} has the scl_inter {intercept}", "write it again with its true intensity scale")
    return slope, intercept


def _forms(header: NiftiHeader) -> dict[str, Any]:
    """Every header field that places the voxels, so that a label map can be written with the same."""
    return {
        "version": header.version,
        "sform_code": int(header.fields["sform_code"]),
        "qform_code": int(header.fields["qform_code"]),
        "srow": header.fields["srow"].astype(float).tolist(),
        "quatern": header.fields["quatern"].astype(float).tolist(),
        "qoffset": header.fields["qoffset"].astype(float).tolist(),
        "pixdim": header.fields["pixdim"][:4].astype(float).tolist(),
        "units": int(header.fields["xyzt_units"]),
    }
