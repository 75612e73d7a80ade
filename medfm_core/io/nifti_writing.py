"""Encode volumes as NIfTI, with the source's own position fields where the volume lies on the source's grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from medfm_core.io.deflate import compressor
from medfm_core.io.nifti_header import SIZES, NiftiHeader, header_bytes, new_header, place
from medfm_core.volume import Volume

_CODES = {"uint8": 2, "int16": 4, "float32": 16, "uint16": 512}
_NIFTI1_LONGEST = 32767
_SCANNER, _MM, _SPATIAL_UNITS = 1, 2, 7
_COMMENT = 6  # a text that a reader may pass over; nibabel fails on the code of Caret's own XML
_CHUNK = 4 << 20


def encode_nifti(
    volume: Volume, names: Mapping[int, str] | None, colours: Mapping[int, tuple], *, packed: bool
) -> Iterator[bytes]:
    """Yield the bytes of a NIfTI file.

    Args:
        volume: uint8, int16, uint16 or float32 voxels.
        names: label names for the header extension; None for an image.
        colours: colour per label.
        packed: compress as gzip; the same volume always gives the same bytes.
    """
    extension = _label_table(names, colours) if names else b""
    header = _header(volume, len(extension))
    start = header_bytes(header) + (b"\1\0\0\0" if extension else b"\0\0\0\0") + extension
    flat = np.ravel(volume.voxels.astype(volume.voxels.dtype.newbyteorder("<"), copy=False), order="F")
    body = memoryview(flat).cast("B")
    plain = (start, *(body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)))
    return compress(plain) if packed else iter(plain)


def compress(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Pack chunks as one gzip stream."""
    engine = compressor()
    for chunk in chunks:
        yield engine.compress(chunk)
    yield engine.flush()


def _header(volume: Volume, extra: int) -> NiftiHeader:
    """Fill a NIfTI-1 header, or NIfTI-2 where the source was one or an axis is too long."""
    forms = _source_forms(volume)
    is_second = (forms or {}).get("version") == 2 or max(volume.shape) > _NIFTI1_LONGEST
    header = new_header(2 if is_second else 1)
    fields = header.fields
    fields["dim"][:4] = 3, *volume.shape
    fields["datatype"], fields["bitpix"] = _CODES[volume.voxels.dtype.name], 8 * volume.voxels.dtype.itemsize
    fields["vox_offset"] = SIZES[header.version] + 4 + extra
    if forms:
        for name in ("sform_code", "qform_code", "srow", "quatern", "qoffset"):
            fields[name] = forms[name]
        fields["pixdim"][:4] = forms["pixdim"]
        fields["xyzt_units"] = forms["units"] & _SPATIAL_UNITS
    else:
        place(header, volume.affine, _SCANNER)
        fields["xyzt_units"] = _MM
    return header


def _source_forms(volume: Volume) -> Mapping[str, Any] | None:
    """The position fields of the NIfTI file that the volume's grid came from, None if it lies elsewhere."""
    source = volume.meta.get("source_affine")
    if source is None or not np.array_equal(source.matrix, volume.affine.matrix):
        return None
    return volume.meta.get("nifti_forms")


def _label_table(names: Mapping[int, str], colours: Mapping[int, tuple]) -> bytes:
    """Write names and colours as Caret's XML label table, padded to NIfTI's 16 bytes."""
    rows = []
    for label, name in sorted(names.items()):
        red, green, blue = (f"{part / 255:.4f}" for part in colours.get(label, (255, 255, 255)))
        rows.append(
            f'<Label Key="{int(label)}" Red="{red}" Green="{green}" Blue="{blue}" Alpha="1">{escape(name)}</Label>'
        )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
        + "".join(rows)
        + "</LabelTable></VolumeInformation></CaretExtension>"
    ).encode()
    size = -(-(len(xml) + 8) // 16) * 16
    return np.array([size, _COMMENT], dtype="<i4").tobytes() + xml.ljust(size - 8, b"\0")
