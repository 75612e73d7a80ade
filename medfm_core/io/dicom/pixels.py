"""Decode the images of a stack into one volume: slope and intercept once per slice, padding to air, copies dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medfm_core.errors import InputError, ResourceError
from medfm_core.io.dicom import tags
from medfm_core.io.dicom.frames import Frame
from medfm_core.io.dicom.scan import quiet, read_dataset
from medfm_core.io.dicom.stack import Stack
from medfm_core.io.header import Decoded
from medfm_core.io.values import note_padding, rescale
from medfm_core.volume import AIR_HU

_TISSUE_HU = (-500.0, 2000.0)  # a padding value that means one of these is a mistake of the header


@dataclass
class _Padding:
    """What was set to air so far."""

    count: int = 0
    lowest: float = 0.0
    ignored: set[float] = field(default_factory=set)


@quiet()
def decode_stack(frames: tuple[Frame, ...], stack: Stack, modality: str, name: str) -> Decoded:
    """Read the pixels of every slice.

    Args:
        frames: the images.
        stack: their order; images at the same place must hold the same pixels.
        modality: "CT" sets what is below -1024 HU to -1024.
        name: how messages call the series.

    Returns:
        `(columns, rows, slices)`, int16 where all values fit, else float32.

    Raises:
        InputError: pixels that are missing, cut off or damaged, or two different images at one place.
        ResourceError: a compression that needs a package which is not installed.
    """
    rows, columns = frames[0].size
    out = np.empty((len(stack.order), rows, columns), dtype=np.int16)
    padding, dropped = _Padding(), 0
    read = _reader()
    for place, (first, *others) in enumerate(stack.order):
        stored, dataset = read(frames[first])
        for other in others:
            _check_copy(frames[first], stored, frames[other], read(frames[other])[0], name)
            dropped += 1
        scaled = rescale(stored, frames[first].slope, frames[first].intercept)
        if scaled.dtype.kind == "f" and out.dtype.kind != "f":
            out = out.astype(np.float32)
        out[place] = scaled
        _set_padding(out[place], stored, dataset, frames[first], modality, padding)
    warnings, meta = [], {}
    if dropped:
        warnings.append(f"{dropped} images are copies of others at the same place and were dropped.")
    if padding.count:
        note_padding(meta, padding.count, padding.lowest)
    if padding.ignored:
        shown = ", ".join(f"{value:g}" for value in sorted(padding.ignored)[:3])
        warnings.append(f"The header calls {shown} padding, which is a value of tissue; it is kept as image.")
    return Decoded(out.transpose(2, 1, 0), tuple(warnings), meta)


def _reader() -> Callable[[Frame], tuple[np.ndarray, Any]]:
    """Make a function that reads the stored pixels of an image, keeping the last file open for multi-frame ones."""
    held: dict[str, Any] = {}

    def read(frame: Frame) -> tuple[np.ndarray, Any]:
        if held.get("path") != frame.path:
            held.update(path=frame.path, dataset=read_dataset(frame.path, force=True))
        if held["dataset"] is None:
            raise InputError(f"{frame.where} is damaged", "copy or export the series again")
        return _decode(held["dataset"], frame), held["dataset"]

    return read


def _decode(dataset: Any, frame: Frame) -> np.ndarray:
    """Decompress one image, `(rows, columns)` as stored."""
    from pydicom.pixels import pixel_array

    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        _assume_syntax(dataset)
    try:
        pixels = pixel_array(dataset, index=frame.index or 0)
    except Exception as error:  # decoders of many packages raise many kinds
        raise _undecodable(dataset, frame, error) from error
    if pixels.shape != frame.size:
        raise InputError(f"{frame.where} holds {pixels.shape} pixels, its header says {frame.size}", "export it again")
    return pixels


def _assume_syntax(dataset: Any) -> None:
    """Give a dataset without file meta the transfer syntax in which it could be parsed."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    dataset.file_meta = FileMetaDataset()
    plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def _undecodable(dataset: Any, frame: Frame, error: Exception) -> InputError | ResourceError:
    from pydicom.uid import UID

    syntax = UID(tags.meta_text(dataset, "TransferSyntaxUID"))
    known = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
    if not any(tag in dataset for tag in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        return InputError(f"{frame.where} has no pixel data", "copy or export the series again")
    lacking = "missing dependencies" in str(error) or ("required" in str(error) and isinstance(error, ImportError))
    if lacking and syntax.is_transfer_syntax and syntax.is_compressed:
        return ResourceError(
            f"the images are compressed ({known}) and no decoder for it is installed",
            "install one: pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
        )
    if isinstance(error, NotImplementedError):
        return InputError(
            f"{frame.where} is compressed in a way that is not known here ({known})", "decompress it first"
        )
    return InputError(
        f"the pixels of {frame.where} are cut off or damaged ({known})", "copy or export the series again"
    )


def _check_copy(first: Frame, stored: np.ndarray, other: Frame, pixels: np.ndarray, name: str) -> None:
    same = (first.slope, first.intercept) == (other.slope, other.intercept)
    if not (same and np.array_equal(stored, pixels)):
        height = float(first.position @ np.cross(first.orientation[:3], first.orientation[3:]))
        raise InputError(
            f"{name} holds different images of one place ({height:.1f} mm) and no tag tells them apart",
            "export each phase or repetition as its own series",
        )


def _set_padding(
    scaled: np.ndarray, stored: np.ndarray, dataset: Any, frame: Frame, modality: str, padding: _Padding
) -> None:
    """Set what the header calls padding to air (CT) or the darkest value, and what is below air to air."""
    value = tags.number(dataset, "PixelPaddingValue", frame.where)
    outside = np.zeros(0, dtype=bool)
    if value is not None:
        limit = tags.number(dataset, "PixelPaddingRangeLimit", frame.where, value)
        ends = sorted((value, limit))
        meant = [end * frame.slope + frame.intercept for end in ends]
        if modality == "CT" and any(_TISSUE_HU[0] < hu < _TISSUE_HU[1] for hu in meant):
            padding.ignored.add(meant[0])
        else:
            outside = (stored >= ends[0]) & (stored <= ends[1])
    if modality == "CT":
        below = scaled < AIR_HU
        outside = outside | below if outside.size else below
    count = int(np.count_nonzero(outside)) if outside.size else 0
    if not count or (count == outside.size and modality != "CT"):
        return
    air = AIR_HU if modality == "CT" else scaled[~outside].min()
    changed = outside & (scaled != air)
    padding.count += int(np.count_nonzero(changed))
    padding.lowest = min(padding.lowest, float(scaled[outside].min()))
    scaled[outside] = air
