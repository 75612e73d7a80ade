"""Take values out of DICOM datasets so that what is missing, malformed or not finite is an error that names the tag.

Messages name tags and the number of an image, never a file, a patient or a UID.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medfm_core.errors import GeometryError, InputError

HEADER_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "ImageType",
    "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "AcquisitionTime", "TriggerTime",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelRepresentation",
    "ConvolutionKernel", "KVP", "ContrastBolusAgent", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


def tag_name(keyword: str) -> str:
    """Write a tag as "ImagePositionPatient (0020,0032)"."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})" if tag is not None else keyword


def numbers(dataset: Any, keyword: str, count: int, where: str) -> np.ndarray:
    """Read `count` finite numbers.

    Args:
        dataset: a pydicom dataset.
        keyword: DICOM keyword.
        count: how many values the tag must have.
        where: which image, for the message.

    Returns:
        `(count,)` float64.

    Raises:
        GeometryError: missing, another count, no numbers, NaN or infinite.
    """
    value = raw(dataset, keyword, where)
    if value is None or value == "":
        raise GeometryError(f"{where} has no {tag_name(keyword)}", "export the series again with its full header")
    try:
        found = np.atleast_1d(np.array(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise _damaged(where, keyword) from error
    if found.shape != (count,):
        raise GeometryError(
            f"{where} has {found.size} values in {tag_name(keyword)}, which needs {count}", "export the series again"
        )
    if not np.isfinite(found).all():
        raise GeometryError(f"{where} has NaN or infinite values in {tag_name(keyword)}", "export the series again")
    return found


def number(dataset: Any, keyword: str, where: str, default: float | None = None) -> float | None:
    """Read one finite number, `default` if the tag is missing or empty.

    Raises:
        GeometryError: no number, NaN or infinite.
    """
    value = raw(dataset, keyword, where)
    return default if value is None or value == "" else float(numbers(dataset, keyword, 1, where)[0])


def raw(dataset: Any, keyword: str, where: str) -> Any:
    """Read a value as pydicom gives it, None if missing.

    Raises:
        GeometryError: the bytes are no value of the tag's kind.
    """
    try:
        return dataset.get(keyword)
    except Exception as error:  # pydicom raises many kinds while it converts damaged bytes
        raise _damaged(where, keyword) from error


def entries(dataset: Any, keyword: str, where: str) -> list[Any]:
    """Read the datasets of a sequence, none if it is missing.

    Raises:
        GeometryError: the sequence is damaged.
    """
    found = raw(dataset, keyword, where)
    try:
        return list(found or [])
    except Exception as error:  # items are parsed when they are asked for
        raise _damaged(where, keyword) from error


def text(dataset: Any, keyword: str) -> str:
    """Read a short text, "" if missing or damaged.

    What holds control characters is damaged: where the length of a value is wrong, it runs on into the next tags.
    """
    try:
        value = dataset.get(keyword)
    except Exception:  # a description that cannot be read is as good as none
        return ""
    joined = "\\".join(str(part) for part in value) if _is_many(value) else str("" if value is None else value)
    joined = joined.strip(" \0")
    return joined[:64] if joined.isprintable() else ""


def meta_text(dataset: Any, keyword: str) -> str:
    """Read a short text of the file's meta information, "" if missing or damaged."""
    meta = getattr(dataset, "file_meta", None)
    return "" if meta is None else text(meta, keyword)


def words(dataset: Any, keyword: str) -> tuple[str, ...]:
    """Read a multi-valued text in upper case."""
    return tuple(part.upper() for part in text(dataset, keyword).split("\\") if part)


def _is_many(value: Any) -> bool:
    return not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")


def _damaged(where: str, keyword: str) -> InputError:
    return GeometryError(f"{where} has a damaged {tag_name(keyword)}", "export the series again")
