"""Read a block of voxels from a file, plain or compressed, into an array of known size.

No more than the array is ever decompressed, so a small file cannot fill the memory, and a file that ends early is an
error and never a half-filled array.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medfm_core.errors import InputError, ResourceError
from medfm_core.io import deflate
from medfm_core.io.header import read_error

_READ, _CHUNK = 1 << 20, 4 << 20  # bytes taken from the file and handed on at a time: large, since between two of them
# a thread that runs Python may take over and hold the reading up
_MOST_DEFLATED = 1040  # deflate makes at most 1032 bytes of one
COMPRESSIONS = ("raw", "deflate", "bzip2")


def read_array(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, *, start: int = 0, compression: str = "raw", skip: int = 0
) -> np.ndarray:
    """Read voxels that lie in a file with the first axis fastest.

    Args:
        path: the file.
        shape: `(I, J, K)`.
        dtype: stored type with its byte order.
        start: byte of the file at which the voxels or their compressed stream begin.
        compression: "raw", "deflate" (gzip or zlib) or "bzip2".
        skip: decompressed bytes to pass over first.

    Returns:
        `shape`, Fortran order, native byte order.

    Raises:
        InputError: the file is cut off, damaged or cannot be read.
        ResourceError: the array does not fit into memory.
    """
    count = int(np.prod(shape, dtype=object))
    total = count * dtype.itemsize
    try:
        flat = np.empty(count, dtype=dtype)
    except (MemoryError, ValueError, OverflowError) as error:
        raise ResourceError(f"{path} needs {total / 1e9:.1f} GB of memory", "crop or resample it first") from error
    try:
        with open(path, "rb") as file:
            file.seek(start)
            _fill(memoryview(flat).cast("B"), pieces(file, compression), skip, path)
    except OSError as error:
        raise read_error(error, path) from error
    if not dtype.isnative:
        flat = flat.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F")


def check_held(path: Path, needed: int, *, start: int = 0, compression: str = "raw") -> None:
    """Refuse a file that is too small to hold what its header announces, before anything is allocated for it.

    Args:
        path: the file.
        needed: decompressed bytes that must lie in it.
        start: byte at which they, or their compressed stream, begin.
        compression: as in `read_array`.

    Raises:
        InputError: the file is cut off or its header lies.
    """
    try:
        held = max(0, path.stat().st_size - start)
    except OSError as error:
        raise read_error(error, path) from error
    most = {"raw": 1, "deflate": _MOST_DEFLATED}.get(compression)
    if most is not None and needed > held * most:
        raise _cut_off(path, f"its header announces {needed:,} bytes of voxels and it holds {held:,}")


def read_start(path: Path, count: int) -> bytes:
    """Read the first `count` bytes, decompressed if the file is gzip; fewer if it is shorter or damaged."""
    try:
        with open(path, "rb") as file:
            first = file.read(count)
            if not first.startswith(b"\x1f\x8b"):
                return first
            file.seek(0)
            data = b""
            for piece in pieces(file, "deflate", size=4096):
                data += piece
                if len(data) >= count:
                    break
            return data[:count]
    except (deflate.Error, EOFError):
        return b""
    except OSError as error:
        raise read_error(error, path) from error


def pieces(file: BinaryIO, compression: str, size: int = _CHUNK) -> Iterator[bytes]:
    """Yield what a stream holds, decompressed, at most `size` bytes at a time; several gzip members count as one.

    Raises:
        deflate.Error, OSError: damaged.
        EOFError: the compressed stream ends too early.
    """
    if compression == "raw":
        while data := file.read(size):
            yield data
    elif compression == "bzip2":
        with bz2.BZ2File(file) as stream:
            while data := stream.read(size):
                yield data
    else:
        yield from _inflate(file, size)


def _inflate(file: BinaryIO, size: int) -> Iterator[bytes]:
    step = min(size, _READ)
    pending = file.read(step)
    while pending:
        engine = deflate.decompressor()
        while not engine.eof:
            if not pending:
                pending = file.read(step)
                if not pending:
                    raise EOFError
            data = engine.decompress(pending, size)
            pending = engine.unconsumed_tail
            if data:
                yield data
        pending = engine.unused_data or file.read(step)
        if not pending.startswith(b"\x1f\x8b"):
            return  # padding or another block follows, no further member


def _fill(out: memoryview, source: Iterator[bytes], skip: int, path: Path) -> None:
    filled, total = 0, len(out)
    try:
        for data in source:
            if skip:
                passed = min(skip, len(data))
                data, skip = data[passed:], skip - passed
            part = data[: total - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(data):
                break  # more follows than was announced: nobody asked for it
    except EOFError as error:
        raise _cut_off(path, f"its compressed stream ends after {filled:,} of {total:,} bytes of voxels") from error
    except (deflate.Error, OSError) as error:
        if getattr(error, "errno", None):
            raise
        raise InputError(
            f"{path} is damaged: its compressed data cannot be unpacked", "copy or export it again"
        ) from error
    if filled < total:
        raise _cut_off(path, f"it holds {filled:,} of {total:,} bytes of voxels")


def _cut_off(path: Path, how: str) -> InputError:
    return InputError(f"{path} is cut off: {how}", "copy or export it again")
