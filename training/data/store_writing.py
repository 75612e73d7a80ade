"""How a volume's files are written.

LZ4HC with byte shuffling, chunks of 64^3 in blocks of 16^3, as measured by `Testing/benchmarks/store.py --codecs`. On
CT it reads a random 96^3 crop in two thirds of plain LZ4's time and takes 7 % less disk, but writes at half its speed
(about 100 MB/s), once; Zstandard takes 15 % less disk still and needs three times as long to read. Blocks of 16^3 are
as fast as larger ones on large crops, and spare small crops from decompressing what they do not need.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.volume import AIR_HU, Volume
from training.data.quantise import Quantised
from training.data.volume_statistics import foreground, label_statistics, value_statistics

FORMAT = 1  # raised when the files or their meaning change: all keys change with it
IMAGE, LABELS, FACTS = "image.b2nd", "labels.b2nd", "volume.json"


@dataclass(frozen=True)
class Layout:
    """How arrays are cut and compressed; the store uses the defaults.

    Attributes:
        chunk, block: sides in voxels; a chunk is stored as one piece, a block is the least that is decompressed.
        codec: a name of `blosc2.Codec`.
        level: 1 to 9.
    """

    chunk: int = 64
    block: int = 16
    codec: str = "LZ4HC"
    level: int = 5


def write_array(path: Path, array: np.ndarray, layout: Layout | None = None) -> None:
    """Write one blosc2 file; the same array and library version give the same bytes.

    Args:
        path: the file to make.
        array: `(D, H, W)`, C-contiguous.
        layout: by default the store's.
    """
    import blosc2

    layout = layout or Layout()
    chunks = tuple(min(layout.chunk, n) for n in array.shape)
    blocks = tuple(min(layout.block, n) for n in chunks)
    parameters = blosc2.CParams(
        codec=blosc2.Codec[layout.codec],
        clevel=layout.level,
        filters=[blosc2.Filter.SHUFFLE],
        typesize=array.dtype.itemsize,
        nthreads=1,  # several would write the blocks in the order in which they happen to finish
    )
    blosc2.asarray(
        array, chunks=chunks, blocks=blocks, cparams=parameters, urlpath=str(path), mode="w", contiguous=True
    )


def write_part(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Write an array so that it stays, and say how large it is and what it hashes to."""
    write_array(path, array)
    data = path.read_bytes()
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "dtype": str(array.dtype)}


def write_synced(path: Path, data: bytes) -> None:
    """Write bytes so that they stay."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def describe(image: Volume, quantised: Quantised, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Geometry, scale and statistics of a volume, as `volume.json` holds them.

    Args:
        image: as prepared.
        quantised: its values as stored.
        arrays: what is stored, by file name.
    """
    stored, scale, offset = quantised.stored, quantised.scale, quantised.offset
    found, points = foreground(image)
    statistics = {**value_statistics(stored, scale, offset), "foreground": found}
    label_points: dict[str, list[int]] = {}
    if LABELS in arrays:
        statistics["labels"], label_points = label_statistics(arrays[LABELS])
    return {
        "shape": list(image.shape),
        "affine": image.affine.matrix.tolist(),
        "spacing_mm": list(image.spacing),
        "orientation": image.affine.codes,
        "modality": image.modality,
        "scale": scale,
        "offset": offset,
        "outside": AIR_HU if image.modality == "CT" else float(stored.min()) * scale + offset,
        "quantisation": {"largest_error": quantised.error, "clipped_voxels": quantised.clipped},
        "statistics": statistics,
        "points": {"foreground": points, "labels": label_points},
    }


def label_array(labels: Volume, image: Volume) -> np.ndarray:
    """A label map as uint8, or uint16 if it has values above 255.

    Raises:
        InputError: it lies on another grid than the image, or has values outside 0 to 65535.
    """
    if not labels.grid.same_as(image.grid):
        raise InputError("the label map does not lie on the image's grid", "resample it to that grid first")
    highest, lowest = int(labels.voxels.max()), int(labels.voxels.min())
    if lowest < 0 or highest > 65535:
        raise InputError(f"the label map's values reach from {lowest} to {highest}", "give values from 0 to 65535")
    return np.ascontiguousarray(labels.voxels, dtype=np.uint8 if highest <= 255 else np.uint16)
