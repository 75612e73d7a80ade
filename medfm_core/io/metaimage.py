"""Read MetaImage: .mha (one file) and .mhd (a header with detached data), plain or compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.geometry import Affine
from medfm_core.io.header import Decoded, Header, Opened, checked_affine, checked_grid, grid_warnings, read_error
from medfm_core.io.nrrd import HEADER_LIMIT, detached_file
from medfm_core.io.payload import check_held, read_array
from medfm_core.io.values import rescale, rescaled_type

_DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR"}


def open_metaimage(path: Path) -> Opened:
    """Read the header of a .mha or .mhd file.

    Raises:
        InputError: no 3D volume of real numbers, or a damaged header.
        GeometryError: no usable position.
    """
    name = str(path)
    fields, end = _read_fields(path)
    if fields.get("BinaryData", "True").lower() != "true":
        raise InputError(f"{name} holds its voxels as text", "write it again as binary")
    channels = fields.get("ElementNumberOfChannels", "1").strip()
    if channels != "1":
        raise InputError(
            f"{name} holds {channels} channels (as RGB does), no grey values", "export one number per voxel"
        )
    if fields.get("ElementType") not in _DTYPES:
        raise InputError(f"{name} holds values of the unknown type {fields.get('ElementType')!r}", "export it again")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    dtype = np.dtype(_DTYPES[fields["ElementType"]]).newbyteorder(">" if big else "<")
    sizes, affine, warnings = _geometry(fields, name)
    grid = checked_grid(tuple(sizes), affine, name)
    warnings += grid_warnings(grid)
    place = fields["ElementDataFile"]
    data_path, start = (path, end) if place.upper() == "LOCAL" else (detached_file(path, place), 0)
    packed = fields.get("CompressedData", "False").lower() == "true"
    gap = int(_numbers(fields, ("HeaderSize",), 1, [0.0], name)[0])
    if gap == -1 and not packed:
        start = max(start, data_path.stat().st_size - grid.voxels * dtype.itemsize)
    elif gap < 0:
        raise InputError(f"{name} has the impossible HeaderSize {gap}", "copy or export it again")
    elif data_path != path:
        start = gap
    compression = "deflate" if packed else "raw"
    check_held(data_path, grid.voxels * dtype.itemsize, start=start, compression=compression)
    modality = _MODALITIES.get(fields.get("Modality", ""))

    def decode() -> Decoded:
        return Decoded(
            rescale(read_array(data_path, grid.shape, dtype, start=start, compression=compression), 1.0, 0.0)
        )

    return Opened(Header(grid, rescaled_type(dtype), "mha", modality, tuple(warnings)), decode, name)


def _read_fields(path: Path) -> tuple[dict[str, str], int]:
    """Read `Key = value` lines up to ElementDataFile, which is the last; the byte behind it is where data begin."""
    fields: dict[str, str] = {}
    try:
        with open(path, "rb") as file:
            while file.tell() < HEADER_LIMIT:
                line = file.readline(HEADER_LIMIT)
                if not line:
                    break
                key, equals, value = line.decode("latin-1").partition("=")
                if equals:
                    fields[key.strip()] = value.strip()
                if key.strip() == "ElementDataFile":
                    return fields, file.tell()
    except OSError as error:
        raise read_error(error, path) from error
    raise InputError(f"{path} has a MetaImage header without ElementDataFile", "copy or export it again")


def _geometry(fields: dict[str, str], name: str) -> tuple[list[int], Affine, list[str]]:
    sizes = [int(n) for n in _numbers(fields, ("DimSize",), 0, None, name)]
    if not sizes or min(sizes) < 1:
        raise InputError(f"{name} has the impossible DimSize {fields.get('DimSize')!r}", "copy or export it again")
    count = len(sizes)
    if any(n != 1 for n in sizes[3:]):
        text = " x ".join(str(n) for n in sizes)
        raise InputError(f"{name} holds {count}D data ({text}), not one volume", "split it and give one of them")
    if count < 3:
        raise InputError(f"{name} is no volume: it has {count} axes", "give a scan with at least 2 slices")
    spacing = _numbers(fields, ("ElementSpacing", "ElementSize"), count, None, name)
    origin = _numbers(fields, ("Offset", "Position", "Origin"), count, [0.0] * count, name)
    turned = _numbers(
        fields, ("TransformMatrix", "Rotation", "Orientation"), count * count, np.eye(count).ravel().tolist(), name
    )
    warnings = []
    if not any(key in fields for key in ("TransformMatrix", "Rotation", "Orientation")):
        warnings.append("The MetaImage file gives no orientation; axes along left, posterior and superior are taken.")
    direction = np.reshape(turned, (count, count))[:3, :3].T  # MetaIO writes one axis per row
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.array(spacing[:3])
    matrix[:3, 3] = origin[:3]
    matrix[:2] *= -1  # LPS to RAS+
    return sizes[:3], checked_affine(matrix, name), warnings


def _numbers(
    fields: dict[str, str], keys: tuple[str, ...], count: int, default: list[float] | None, name: str
) -> list[float]:
    """Read the first of `keys` that is there as `count` numbers (0: any count)."""
    text = next((fields[key] for key in keys if key in fields), None)
    if text is None:
        if default is None:
            raise GeometryError(f"{name} has no {keys[0]}", "write it again with its true geometry")
        return default
    try:
        found = [float(word) for word in text.split()]
    except ValueError:
        found = []
    if (count and len(found) != count) or not np.isfinite(found).all():
        raise GeometryError(f"{name} has the damaged {keys[0]} {text[:60]!r}", "copy or export it again")
    return found
