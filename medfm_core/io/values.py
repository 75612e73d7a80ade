"""What happens to voxel values between file and volume: slope and intercept once, compact types, nothing non-finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.io.header import Decoded, Header
from medfm_core.volume import AIR_HU, Kind, Volume

_INT16 = np.iinfo(np.int16)


def rescale(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Compute `stored * slope + intercept` in the most compact type that holds it exactly.

    Args:
        stored: any real type, any shape.
        slope: finite, not 0.
        intercept: finite.

    Returns:
        uint8, int16 or float32; `stored` itself where nothing changes.
    """
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    whole = all(float(number).is_integer() and abs(number) < 2**31 for number in (slope, intercept))
    if stored.dtype.kind == "f" or not whole:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = stored.astype(np.float32, copy=slope != 1 or intercept != 0)
            if slope != 1:
                scaled *= np.float32(slope)
            if intercept != 0:
                scaled += np.float32(intercept)
        return scaled
    if slope == 1 and intercept == 0 and stored.dtype in (np.uint8, np.int16):
        return stored
    ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
    if min(ends) < _INT16.min or max(ends) > _INT16.max:
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if slope == 1 and intercept == 0:
        return stored.astype(np.int16)
    if stored.dtype.itemsize == 2:  # what fits in the end is right modulo 2^16 on the way
        turned = stored.view(np.uint16) * np.uint16(int(slope) % 2**16)
        turned += np.uint16(int(intercept) % 2**16)
        return turned.view(np.int16)
    wide = stored.astype(np.int64)
    if slope != 1:
        wide *= int(slope)
    if intercept != 0:
        wide += int(intercept)
    return wide.astype(np.int16, copy=False)


def rescaled_type(stored: np.dtype, slope: float = 1.0, intercept: float = 0.0) -> np.dtype:
    """The widest type that `rescale` may give, known before the values are."""
    if (
        slope != 1
        or intercept != 0
        or stored.kind not in "iu"
        or stored.itemsize > 2
        or stored.newbyteorder("=") == np.uint16
    ):
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if stored.newbyteorder("=") == np.uint8 else np.int16)


def as_labels(voxels: np.ndarray, name: str) -> np.ndarray:
    """Turn numbers into labels: uint8, uint16 or int32, whichever is the smallest that holds them.

    Raises:
        InputError: values that are not whole, or not within int32.
    """
    if voxels.dtype.kind == "f" and not (np.isfinite(voxels).all() and (voxels == np.rint(voxels)).all()):
        raise InputError(f"{name} is no label map: it holds values that are not whole numbers", "give a label map")
    low, high = int(voxels.min()), int(voxels.max())
    for dtype in (np.uint8, np.uint16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return voxels.astype(dtype, copy=False)
    raise InputError(f"{name} is no label map: its values reach from {low} to {high}", "give a label map")


def finish(header: Header, decoded: Decoded, kind: Kind, name: str) -> Volume:
    """Build the volume: labels as integers, images finite and not constant.

    Args:
        header: what the input says of itself.
        decoded: its voxels.
        kind: what the caller wants.
        name: how messages call the input.

    Raises:
        InputError: an image without content, or a label map of fractions.
    """
    warnings = [*header.warnings, *decoded.warnings]
    meta: dict[str, Any] = {**header.meta, **decoded.meta, "source_affine": header.grid.affine}
    voxels = decoded.voxels
    if kind is Kind.LABEL:
        voxels = as_labels(voxels, name)
    else:
        if voxels.dtype.kind == "f":
            voxels, count = fill_non_finite(voxels, AIR_HU if header.modality == "CT" else None, name)
            if count:
                meta["non_finite_voxels"] = count
                share = 100 * count / voxels.size
                warnings.append(f"{count:,} voxels ({share:.2g} %) are NaN or infinite and count as outside.")
        lowest, highest = voxels.min(), voxels.max()
        if lowest == highest:
            raise InputError(f"{name} is blank: every voxel holds {lowest:g}", "give a scan with an image in it")
    meta |= {"format": header.format, "warnings": tuple(warnings)}
    return Volume(voxels, header.grid.affine, kind, header.modality, meta)


def fill_non_finite(voxels: np.ndarray, fill: float | None, name: str) -> tuple[np.ndarray, int]:
    """Replace NaN and infinities.

    Args:
        voxels: float; changed in place where it is writeable.
        fill: new value; by default the smallest finite one.
        name: how messages call the input.

    Returns:
        The voxels and how many were replaced.

    Raises:
        InputError: nothing is finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(voxels.sum(dtype=np.float64)):  # one pass and no mask in the usual case
            return voxels, 0
    bad = ~np.isfinite(voxels)
    count = int(bad.sum())
    if count == voxels.size:
        raise InputError(f"{name} is blank: every voxel is NaN or infinite", "give a scan with an image in it")
    if count:
        voxels = voxels if voxels.flags.writeable else voxels.copy(order="K")
        voxels[bad] = voxels[~bad].min() if fill is None else fill
    return voxels, count


def clamp_air(volume: Volume) -> Volume:
    """Raise what is below -1024 HU, which no tissue is and scanners use to pad, to -1024.

    DICOM CT is read so already; call it on a NIfTI, NRRD or MHA once it is known to be CT.

    Args:
        volume: a CT in HU.

    Returns:
        The same volume if nothing was below, else a new one with `padding_voxels` in its meta.
    """
    if volume.voxels.dtype.kind == "u":
        return volume
    air = volume.voxels.dtype.type(AIR_HU)
    count = int(np.count_nonzero(volume.voxels < air))
    if not count:
        return volume
    meta = dict(volume.meta)
    note_padding(meta, count, int(volume.voxels.min()))
    return replace(volume, voxels=np.maximum(volume.voxels, air), meta=meta)


def note_padding(meta: dict[str, Any] | Mapping[str, Any], count: int, lowest: float) -> None:
    """Put into `meta` how many voxels were padding and the lowest value they held."""
    meta["padding_voxels"] = meta.get("padding_voxels", 0) + count
    meta["padding_value"] = float(lowest)
