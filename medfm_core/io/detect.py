"""Tell the format of a file by its content; its name decides nothing."""

from __future__ import annotations

import struct
from pathlib import Path

from medfm_core.errors import InputError
from medfm_core.io.header import regular_file
from medfm_core.io.payload import read_start

_SUPPORTED = "MedFM reads NIfTI, NRRD, MHA/MHD and DICOM"
_OTHERS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"BM", "a BMP picture"),
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 (perhaps MINC) file"),
    (b"CDF\x01", "a netCDF (perhaps MINC 1) file"),
    (b"\x93NUMPY", "a NumPy array, which says nothing of its place in the patient"),
    (b"\x00\x00\x00\x01\x00\x00", "perhaps a FreeSurfer MGH file"),
    (b"\x1f\x8b", "a damaged gzip file"),
)


def detect(path: Path) -> str:
    """Name the format of a file: "nifti", "nrrd", "mha" or "dicom".

    Raises:
        InputError: missing, empty, or of no kind that can be read.
    """
    regular_file(path)
    start = read_start(path, 600)
    with open(path, "rb") as file:
        raw = file.read(16)  # differs from `start` where that is decompressed
    if start.startswith(b"NRRD000"):
        return "nrrd"
    if start[128:132] == b"DICM" or looks_like_bare_dicom(start):
        return "dicom"
    if _is_meta_image(start):
        return "mha"
    nifti = _nifti_version(start)
    if nifti:
        return "nifti"
    if nifti is not None:
        raise InputError(
            f"{path} is an Analyze 7.5 file, which does not say which side is left",
            "convert it to NIfTI with its true orientation",
        )
    if start[257:262] == b"ustar":
        raise InputError(f"{path} is a tar archive; {_SUPPORTED}", "unpack it first")
    for magic, what in _OTHERS:
        if raw.startswith(magic):
            raise InputError(f"{path} is {what}; {_SUPPORTED}", "export the scan in one of these")
    raise InputError(f"{path} is of no kind that is known here; {_SUPPORTED}", "export the scan in one of these")


def looks_like_bare_dicom(start: bytes) -> bool:
    """Whether a file without DICOM's preamble begins as a dataset in little endian does: group 0002 or 0008."""
    if len(start) < 16:
        return False
    group, element = struct.unpack("<HH", start[:4])
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    implicit = struct.unpack("<I", start[4:8])[0] <= 128
    return group in (2, 8) and element <= 0x18 and (explicit or implicit)


def _is_meta_image(start: bytes) -> bool:
    words = start[:600].split(b"\n")
    return any(
        line.split(b"=")[0].strip() in (b"ObjectType", b"NDims", b"DimSize") for line in words[:6] if b"=" in line
    )


def _nifti_version(start: bytes) -> int | None:
    """1 or 2 for NIfTI, 0 for Analyze 7.5, None for something else."""
    if len(start) < 12:
        return None
    size = start[:4]
    if size in (struct.pack("<i", 540), struct.pack(">i", 540)):
        return 2
    if size in (struct.pack("<i", 348), struct.pack(">i", 348)):
        return 1 if len(start) < 348 or start[344:346] in (b"n+", b"ni") else 0
    return None
