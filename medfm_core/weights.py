"""Weights files: safetensors, looked at before they are mapped.

A safetensors file is 8 bytes with the header's length (little endian), the header as JSON, and the tensors' bytes. The
check reads only the header, so a file that lies about itself is refused before any memory is taken for it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medfm_core.errors import WeightsError

if TYPE_CHECKING:
    import torch

HEADER_LIMIT = 100_000_000
DIMENSIONS_LIMIT = 16
DTYPE_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
_FIX = "replace it with the original file"
_SIZE_LIMIT = 1 << 62


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file: `dtype` as safetensors writes it, `start` and `stop` in bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says of itself, checked against its length."""

    path: Path
    bytes: int
    header_bytes: int
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(math.prod(info.shape) for info in self.tensors.values())


def check_safetensors(path: str | Path) -> WeightsInfo:
    """Read and check a safetensors header.

    Checked are: a header of at most 100 MB that is JSON without repeated names, known types, sane shapes, byte ranges
    that fit type and shape, follow each other without gap or overlap and end where the file ends.

    Args:
        path: the file.

    Raises:
        WeightsError: the file is missing, unreadable or not what it says.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            header = _header(stream.read(8), size)
            text = stream.read(header)
        if len(text) != header:
            raise ValueError("it ends within its header")
        tensors, metadata = _parse(text)
        _check_ranges(tensors, size - 8 - header)
    except OSError as error:
        raise WeightsError(f"cannot read the weights file {path} ({error.strerror})", "check its place") from error
    except (ValueError, RecursionError) as error:
        what = "its header is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise WeightsError(f"the weights file {path} is damaged or not safetensors: {what}", _FIX) from error
    return WeightsInfo(path, size, header, tensors, metadata)


def load_weights(
    path: str | Path,
    expected: Mapping[str, tuple[int, ...]] | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, torch.Tensor]:
    """Load all tensors of a file, after checking its header.

    Args:
        path: a safetensors file.
        expected: name to shape of every tensor that the network has, nothing more and nothing less; None for any.
        device: where the tensors go.

    Returns:
        Name to tensor, in the file's types.

    Raises:
        WeightsError: the file is damaged, or is of another network.
    """
    info = check_safetensors(path)
    if expected is not None:
        _check_expected(info, expected)
    from safetensors.torch import load_file

    try:
        return load_file(info.path, device=str(device))
    except Exception as error:  # the library raises its own error, which is no more than an Exception
        if isinstance(error, (MemoryError, RuntimeError)):
            raise
        raise WeightsError(f"the weights file {path} cannot be loaded ({error})", _FIX) from error


def _header(first: bytes, size: int) -> int:
    if len(first) < 8:
        raise ValueError(f"it has only {size} bytes")
    (length,) = struct.unpack("<Q", first)
    if length > HEADER_LIMIT:
        raise ValueError(f"it claims a header of {length:,} bytes, more than {HEADER_LIMIT:,}")
    if length > size - 8:
        raise ValueError(f"it claims a header of {length:,} bytes but has {size:,}")
    return length


def _parse(text: bytes) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    if not text.startswith(b"{"):
        raise ValueError("its header is not JSON")
    try:
        data = json.loads(text.decode("utf-8"), object_pairs_hook=_no_repeats, parse_float=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError("its header is not JSON") from error
    except UnicodeDecodeError as error:
        raise ValueError("its header is not UTF-8") from error
    if b"\\ud" in text.lower():
        _check_characters(data)
    metadata = data.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts")
    return {name: _tensor(name, entry) for name, entry in data.items()}, metadata


def _check_characters(data: object) -> None:
    """Refuse half a pair of surrogates, which JSON can spell and no text may hold."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("its header holds half a character") from error


def _tensor(name: str, entry: object) -> TensorInfo:
    label = _label(name)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the tensor {label} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise ValueError(f"the tensor {label} has an unknown type")
    if not isinstance(shape, list) or len(shape) > DIMENSIONS_LIMIT or not all(map(_is_size, shape)):
        raise ValueError(f"the tensor {label} has no sane shape")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise ValueError(f"the tensor {label} has no sane byte range")
    start, stop = offsets
    if stop - start != math.prod(shape) * DTYPE_BYTES[dtype]:
        raise ValueError(f"the tensor {label} of {dtype} {shape} does not fit its {stop - start} bytes")
    return TensorInfo(dtype, tuple(shape), start, stop)


def _check_ranges(tensors: Mapping[str, TensorInfo], size: int) -> None:
    end = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if info.start != end:
            raise ValueError(f"the bytes of the tensor {_label(name)} do not follow those before it")
        end = info.stop
    if end != size:
        raise ValueError(f"its tensors need {end:,} bytes, it holds {size:,}")


def _check_expected(info: WeightsInfo, expected: Mapping[str, tuple[int, ...]]) -> None:
    missing = [_label(name) for name in expected if name not in info.tensors]
    extra = [_label(name) for name in info.tensors if name not in expected]
    shaped = [
        f"{_label(name)} {list(info.tensors[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in info.tensors and info.tensors[name].shape != tuple(shape)
    ]
    found = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("not expected", extra), ("of another shape", shaped))
        if names
    ]
    if found:
        raise WeightsError(
            f"the weights file {info.path} is of another network: tensors {'; '.join(found)}",
            "use the weights that belong to the model card",
        )


def _label(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < _SIZE_LIMIT


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header names something twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError("its header holds a fraction where only whole numbers belong")
