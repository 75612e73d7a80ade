"""The two safetensors files of a checkpoint: written whole, compared by header, read one tensor at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.weights import TensorInfo
from training.engine.checkpoint_ranks import is_writer

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors; the same tensors make the same bytes.

    Args:
        path: a new file.
        tensors: contiguous and on the CPU; they may share memory.

    Raises:
        OSError: as the system says, e.g. that the disk is full.
    """
    taken: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, value in tensors.items():
        place = value.untyped_storage().data_ptr()
        apart[name] = value.clone() if place in taken else value
        taken.add(place)
    try:
        save_file(apart, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else None, str(error)) from error


class TensorReader:
    """Gives the tensors of a file on rank 0 and None on the others, with the types that rank 0 found."""

    def __init__(self, infos: Mapping[str, TensorInfo], file: safe_open | None) -> None:
        self._infos, self._file = infos, file

    def __call__(self, name: str) -> tuple[Tensor | None, torch.dtype]:
        """Read one tensor."""
        whole = self._file.get_tensor(name) if self._file is not None else None
        return whole, DTYPES[self._infos[name].dtype]


@contextmanager
def tensor_reader(path: Path, infos: Mapping[str, TensorInfo]) -> Iterator[TensorReader]:
    """Open a file that was checked.

    Args:
        path: the file, which the other ranks need not have.
        infos: its header, as rank 0 read it.
    """
    if not is_writer():
        yield TensorReader(infos, None)
        return
    with safe_open(path, framework="pt") as file:
        yield TensorReader(infos, file)


def check_fit(path: Path, found: Mapping[str, TensorInfo], live: Mapping[str, Tensor]) -> None:
    """Compare the tensors of a file with those they are for: names, shapes and types.

    Raises:
        WeightsError: they differ.
    """
    missing = [name for name in live if name not in found]
    extra = [name for name in found if name not in live]
    other = [
        f"{name} is {found[name].dtype} {list(found[name].shape)} instead of {_NAMES[value.dtype]} {list(value.shape)}"
        for name, value in live.items()
        if name in found and (found[name].shape != tuple(value.shape) or found[name].dtype != _NAMES[value.dtype])
    ]
    clauses = [
        f"{label}{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for label, names in (("it lacks ", missing), ("it also holds ", extra), ("", other))
        if names
    ]
    if clauses:
        raise WeightsError(f"the checkpoint {path} is of another network: {'; '.join(clauses)}", "choose its recipe")
