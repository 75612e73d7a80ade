"""Read NRRD: one file or a header with detached data, raw, gzip or bzip2."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.geometry import Affine
from medfm_core.io.header import Decoded, Header, Opened, checked_affine, checked_grid, grid_warnings, read_error
from medfm_core.io.payload import check_held, read_array
from medfm_core.io.values import rescale, rescaled_type

HEADER_LIMIT = 4 << 20  # bytes; a header of text is never longer
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",), "f8": ("double",),
}  # fmt: skip
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS = {"raw": "raw", "gzip": "deflate", "gz": "deflate", "bzip2": "bzip2", "bz2": "bzip2"}
_SPACES = {  # to RAS+
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
_COLOURS = ("rgb-color", "rgba-color", "hsv-color", "xyz-color")


def open_nrrd(path: Path) -> Opened:
    """Read the header of a .nrrd or .nhdr file.

    Raises:
        InputError: no 3D volume of real numbers, or a damaged header.
        GeometryError: no usable position.
    """
    name = str(path)
    fields, end = read_fields(path)
    dtype = _dtype(fields, name)
    sizes, spatial = _axes(fields, name)
    warnings: list[str] = []
    affine = _affine(fields, spatial, name, warnings)
    grid = checked_grid(tuple(sizes[axis] for axis in spatial), affine, name)
    encoding = fields.get("encoding", "raw").lower()
    if encoding not in _ENCODINGS:
        raise InputError(f"{name} has the NRRD encoding {encoding!r}", "write it again as raw or gzip")
    compression = _ENCODINGS[encoding]
    data_path, start, skip = _data_place(fields, path, end, grid.voxels * dtype.itemsize, compression)
    check_held(data_path, grid.voxels * dtype.itemsize, start=start, compression=compression)
    warnings += grid_warnings(grid)

    def decode() -> Decoded:
        stored = read_array(data_path, grid.shape, dtype, start=start, compression=compression, skip=skip)
        return Decoded(rescale(stored, 1.0, 0.0))

    return Opened(Header(grid, rescaled_type(dtype), "nrrd", None, tuple(warnings)), decode, name)


def read_fields(path: Path) -> tuple[dict[str, str], int]:
    """Read `field: value` lines up to the first empty one; key/value pairs (`:=`) and comments are left out.

    Returns:
        The fields, names in lower case, and the byte behind the header.

    Raises:
        InputError: no end within `HEADER_LIMIT`, or no NRRD.
    """
    try:
        with open(path, "rb") as file:
            if not file.readline(64).startswith(b"NRRD000"):
                raise InputError(f"{path} has no NRRD header", "copy or export it again")
            fields: dict[str, str] = {}
            while file.tell() < HEADER_LIMIT:
                raw = file.readline(HEADER_LIMIT)
                line = raw.decode("latin-1").strip()
                if not line:
                    return fields, file.tell()  # an empty line, or the file's end for a detached header
                match = re.match(r"([^:#][^:]*): (.*)", line)
                if match:
                    fields[match[1].strip().lower()] = match[2].strip()
    except OSError as error:
        raise read_error(error, path) from error
    raise InputError(f"{path} has a NRRD header without an end", "copy or export it again")


def _dtype(fields: dict[str, str], name: str) -> np.dtype:
    kind = fields.get("type", "").lower()
    if kind not in _DTYPES:
        raise InputError(f"{name} holds values of the NRRD type {kind!r}", "write it again with one number per voxel")
    dtype = np.dtype(_DTYPES[kind])
    if dtype.itemsize == 1:
        return dtype
    endian = fields.get("endian", "little").lower()
    if endian not in ("little", "big"):
        raise InputError(f"{name} has the byte order {endian!r}", "copy or export it again")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _axes(fields: dict[str, str], name: str) -> tuple[list[int], list[int]]:
    """Sizes of all axes and which three of them are the patient's."""
    sizes = _whole(fields.get("sizes", ""), name)
    if not sizes or min(sizes) < 1 or str(len(sizes)) != fields.get("dimension", "").strip():
        raise InputError(f"{name} has a damaged NRRD header: its sizes are {fields.get('sizes', 'missing')!r}")
    kinds = fields.get("kinds", "").lower().split()
    if any(kind in _COLOURS for kind in kinds):
        raise InputError(f"{name} holds RGB colours, no grey values", "export the scan with one number per voxel")
    spatial = list(range(len(sizes)))
    vectors = _vectors(fields.get("space directions", ""))
    if len(vectors) == len(sizes):
        spatial = [axis for axis in spatial if vectors[axis] is not None]
    while len(spatial) > 3 and sizes[spatial[-1]] == 1:
        spatial.pop()
    others = int(np.prod([n for axis, n in enumerate(sizes) if axis not in spatial], dtype=object))
    if len(spatial) > 3 or others > 1:
        text = " x ".join(str(n) for n in sizes)
        raise InputError(f"{name} holds {len(sizes)}D data ({text}), not one volume", "split it and give one of them")
    if len(spatial) < 3:
        raise InputError(
            f"{name} is no volume: it has {len(spatial)} spatial axes", "give a scan with at least 2 slices"
        )
    return sizes, spatial


def _affine(fields: dict[str, str], spatial: list[int], name: str, warnings: list[str]) -> Affine:
    """Place the voxels; a missing space is taken as LPS, as ITK does."""
    space = fields.get("space", "").lower()
    if space and space not in _SPACES:
        raise GeometryError(f"{name} lies in the NRRD space {space!r}", "write it again in left-posterior-superior")
    if not space:
        warnings.append(
            "The NRRD file names no patient space; left-posterior-superior is taken, so sides may be wrong."
        )
    matrix = np.eye(4)
    vectors = _vectors(fields.get("space directions", ""))
    if vectors:
        chosen = [vectors[axis] for axis in spatial if axis < len(vectors)]
        if len(chosen) != 3 or any(vector is None or len(vector) != 3 for vector in chosen):
            raise GeometryError(
                f"{name} has damaged space directions", "write it again with three vectors of three numbers"
            )
        matrix[:3, :3] = np.array(chosen).T
    elif "spacings" in fields:
        steps = [_number(word) for word in fields["spacings"].split()]
        if len(steps) <= max(spatial):
            raise GeometryError(f"{name} has damaged spacings", "write it again with one number per axis")
        matrix[:3, :3] = np.diag([abs(steps[axis]) for axis in spatial])
    else:
        raise GeometryError(f"{name} gives no voxel size", "write it again with its true space directions")
    origin = _vectors(fields.get("space origin", ""))
    if origin and origin[0] is not None and len(origin[0]) == 3:
        matrix[:3, 3] = origin[0]
    matrix[:3] *= np.array(_SPACES.get(space, (-1, -1, 1)))[:, None]
    return checked_affine(matrix, name)


def _data_place(fields: dict[str, str], path: Path, end: int, needed: int, compression: str) -> tuple[Path, int, int]:
    """File, first byte and decompressed bytes to skip."""
    detached = fields.get("data file", fields.get("datafile"))
    data_path, start = path, end
    if detached is not None:
        data_path, start = detached_file(path, detached), 0
    lines = _whole(fields.get("line skip", fields.get("lineskip", "0")), str(path)) or [0]
    skips = _whole(fields.get("byte skip", fields.get("byteskip", "0")), str(path)) or [0]
    if lines[0] > 0:
        raise InputError(f"{path} skips lines of its data", "write it again without a line skip")
    if skips[0] == -1 and compression == "raw":
        return data_path, max(start, data_path.stat().st_size - needed), 0
    if skips[0] < 0:
        raise InputError(f"{path} has the impossible byte skip {skips[0]}", "copy or export it again")
    return (data_path, start + skips[0], 0) if compression == "raw" else (data_path, start, skips[0])


def detached_file(header: Path, named: str) -> Path:
    """Find the data file that a header names; only beside or below the header.

    Raises:
        InputError: missing, several files, or elsewhere.
    """
    if named.upper().startswith("LIST") or "%" in named:
        raise InputError(f"{header} spreads its voxels over several files", "write it again as one file")
    relative = Path(named)
    shown = repr(named[:60])
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{header} names a data file outside its own folder", "put both files into one folder")
    found = header.parent / relative
    if not os.path.isfile(found):  # unlike Path.is_file it answers for impossible names too
        raise InputError(f"{header} needs its data file {shown}, which is missing", "put both files into one folder")
    return found


def _vectors(text: str) -> list[list[float] | None]:
    """Parse "(1,0,0) none (0,0,1)"."""
    return [
        None if word == "none" else [_number(part) for part in word.strip("()").split(",")]
        for word in re.findall(r"none|\([^)]*\)", text.lower())
    ]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _whole(text: str, name: str) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError as error:
        raise InputError(f"{name} has a damaged header: {text[:60]!r} should be whole numbers") from error
