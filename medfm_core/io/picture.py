"""Images of any kind: volumes, single slices, pictures (PNG, JPEG, BMP), and X-ray and ultrasound DICOM.

What has no place in the patient becomes a volume of grey values as a radiograph is looked at: columns run towards the
patient's Left, rows downwards, and what has no spacing gets pixels of 1 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medfm_core.errors import InputError
from medfm_core.geometry import Affine
from medfm_core.io.header import single_slices
from medfm_core.io.reading import Source, read_volume
from medfm_core.volume import Kind, Volume

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM")
_FLAT = ("CR", "DX", "MG", "RF", "US", "XA", "IVUS", "RG", "OP")
_LUMA = (0.299, 0.587, 0.114)


def read_image(source: Source, *, series: str | None = None) -> Volume:
    """Read an image of any kind: a volume as `read_volume` does, or an image that lies nowhere in the patient.

    Args:
        source: as for `read_volume`, or a PNG, JPEG or BMP picture, or a DICOM file of an X-ray or ultrasound image.
        series: which series of a DICOM folder.

    Raises:
        InputError: missing, damaged, or of no kind that is known.
        GeometryError: a position, spacing or orientation that cannot be trusted.
        ResourceError: more memory or another decoder is needed.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    if path is not None and path.is_file():
        with path.open("rb") as file:
            start = file.read(132)
        if start.startswith(_PICTURES):
            return _read_picture(path)
        header = _flat_header(path) if start[128:] == b"DICM" else None
        if header is not None:
            return _read_flat(path, header)
    with single_slices():
        return read_volume(source, series=series)


def _read_picture(path: Path) -> Volume:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            wide = picture.mode in ("I", "I;16", "F")
            pixels = np.array(picture if wide else picture.convert("RGB"), dtype=np.float32)
    except Exception as error:  # whatever a damaged picture or a decompression bomb may bring about
        raise InputError(f"the picture {path} cannot be read ({type(error).__name__})", "save it again") from error
    grey = pixels if pixels.ndim == 2 else pixels @ np.array(_LUMA, np.float32)
    return _flat_volume(grey[None], (1.0, 1.0), None, "picture")


def _flat_header(path: Path) -> Any:
    """The header of a DICOM image that lies nowhere in the patient; None for all other files."""
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except Exception:  # read_volume says what is wrong with it
        return None
    nowhere = "ImagePositionPatient" not in header and "SharedFunctionalGroupsSequence" not in header
    return header if nowhere and str(header.get("Modality", "")) in _FLAT else None


def _read_flat(path: Path, header: Any) -> Volume:
    import pydicom
    from pydicom.pixels import apply_modality_lut, convert_color_space

    try:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array
        kind = str(dataset.get("PhotometricInterpretation", ""))
        if kind.startswith("YBR"):
            pixels = convert_color_space(pixels, kind, "RGB")
        if int(dataset.get("SamplesPerPixel", 1)) == 1:
            pixels = apply_modality_lut(pixels, dataset)
    except Exception as error:  # missing decoders and damaged pixels alike
        raise InputError(
            f"the pixels of {path} cannot be read ({type(error).__name__})",
            "export it uncompressed, or install the extra medfm[dicom]",
        ) from error
    grey = np.asarray(pixels, dtype=np.float32)
    if int(dataset.get("SamplesPerPixel", 1)) == 3:
        grey = grey @ np.array(_LUMA, np.float32)
    grey = grey if grey.ndim == 3 else grey[None]
    if kind == "MONOCHROME1":
        grey = grey.max() + grey.min() - grey
    modality = str(header.Modality)
    return _flat_volume(grey, _pixel_spacing(header), modality if modality in ("CR", "DX", "US") else "OT", "dicom")


def _pixel_spacing(header: Any) -> tuple[float, float]:
    """Between rows and between columns, mm; 1 where the file does not say it."""
    found: Sequence[Any] = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or (1.0, 1.0)
    try:
        rows, columns = (float(value) for value in found)
    except (TypeError, ValueError):
        return 1.0, 1.0
    return (rows, columns) if rows > 0 and columns > 0 else (1.0, 1.0)


def _flat_volume(grey: np.ndarray, spacing_mm: tuple[float, float], modality: str | None, form: str) -> Volume:
    """A volume `(columns, rows, frames)` of frames `(N, rows, columns)`, frames running backwards."""
    if not np.isfinite(grey).all() or min(grey.shape) < 1:
        raise InputError("the picture holds values that are no numbers", "save it again")
    rows, columns = spacing_mm
    steps = np.zeros((4, 4))
    steps[0, 0], steps[2, 1], steps[1, 2], steps[3, 3] = -columns, -rows, -max(rows, columns), 1.0
    meta = {"format": form, "warnings": ("It does not say where in the patient it lies.",)}
    return Volume(grey.transpose(2, 1, 0), Affine(steps), Kind.IMAGE, modality, meta)
