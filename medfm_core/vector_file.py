"""Files of vectors with a header that says what each one is: safetensors, with the header as JSON in one metadata key.

Several keys would be written in any order; one keeps equal contents equal bytes. A digest over header and vectors shows
damage that leaves the file readable.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from medfm_core.errors import WeightsError
from medfm_core.io.atomic import atomic_write
from medfm_core.strict import from_dict, to_dict
from medfm_core.weights import check_safetensors, load_weights

T = TypeVar("T")
VERSION = 1
_TENSOR = "vectors"
_KEYS = {"version", "sha256", "contents"}


def write_vectors(path: str | Path, kind: str, header: Any, vectors: Tensor) -> str:
    """Write vectors and what they are.

    Args:
        path: the file to make or replace.
        kind: what sort of file it is, e.g. "medfm-prompts"; the reader asks for it.
        header: a dataclass of plain data.
        vectors: `(N, W)` float16 or float32.

    Returns:
        The sha256 of header and vectors.
    """
    from safetensors.torch import save_file

    vectors = vectors.detach().cpu().contiguous()
    digest = contents_sha256(header, vectors)
    text = json.dumps({"version": VERSION, "sha256": digest, "contents": to_dict(header, defaults=True)})
    with atomic_write(path) as temporary:
        save_file({_TENSOR: vectors}, temporary, metadata={kind: text})
    return digest


def read_vectors(path: str | Path, kind: str, header: type[T]) -> tuple[T, Tensor]:
    """Read vectors and what they are.

    Args:
        path: the file.
        kind: what sort of file it must be.
        header: the dataclass of the header; it refuses keys that it does not have.

    Returns:
        The header and the vectors, `(N, W)` float16 or float32 as stored.

    Raises:
        WeightsError: missing, damaged, of another kind or of a newer version.
    """
    info = check_safetensors(path)
    place = f"the file {path}"
    tensor = info.tensors.get(_TENSOR)
    if set(info.metadata) != {kind} or set(info.tensors) != {_TENSOR}:
        raise WeightsError(f"{place} is not one of {kind}", "give a file that MedFM wrote for this")
    if tensor.dtype not in ("F16", "F32") or len(tensor.shape) != 2:
        raise WeightsError(f"{place} holds {tensor.dtype} of shape {list(tensor.shape)}, not vectors", "make it anew")
    data = _parse(info.metadata[kind], place)
    found = from_dict(header, data["contents"], place, WeightsError)
    vectors = load_weights(path)[_TENSOR]
    if contents_sha256(found, vectors) != data["sha256"]:
        raise WeightsError(f"{place} is damaged: its contents are not those that were written", "make it anew")
    if not torch.isfinite(vectors).all():
        raise WeightsError(f"{place} holds values that are not numbers", "make it anew")
    return found, vectors


def contents_sha256(header: Any, vectors: Tensor) -> str:
    """Digest of a header and of vectors as they are stored; 64 hexadecimal digits."""
    text = json.dumps([to_dict(header, defaults=True), str(vectors.dtype), list(vectors.shape)], sort_keys=True)
    digest = hashlib.sha256(text.encode("ascii"))
    digest.update(vectors.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _parse(text: str, place: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{place} is damaged: its description is not JSON", "make it anew") from error
    if not isinstance(data, dict) or "version" not in data:
        raise WeightsError(f"{place} is damaged: its description has no version", "make it anew")
    if data["version"] != VERSION:
        raise WeightsError(
            f"{place} has version {data['version']!r}, known is {VERSION}", "make it anew or update MedFM"
        )
    if set(data) != _KEYS:
        keys = ", ".join(map(repr, sorted(set(data) ^ _KEYS)))
        raise WeightsError(f"{place} is damaged: unknown or missing keys {keys}", "make it anew")
    return data
