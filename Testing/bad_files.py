"""Builds files that cannot be used, or that are only just usable, for the tests of the readers and the command line."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dicom_maker
import nibabel
import numpy as np
from dicom_maker import make_series, set_raw
from pydicom.uid import UID, JPEGLSLossless, SecondaryCaptureImageStorage, generate_uid


def image(
    shape: tuple[int, ...] = (9, 8, 7), dtype: str = "int16", affine: np.ndarray | None = None
) -> nibabel.Nifti1Image:
    """A small NIfTI image with content."""
    voxels = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    return nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0]) if affine is None else affine)


def save_nifti(folder: Path, made: nibabel.Nifti1Image | None = None, name: str = "scan.nii.gz") -> Path:
    """Write a NIfTI image."""
    path = folder / name
    nibabel.save(image() if made is None else made, path)
    return path


def patched(folder: Path, *edits: tuple[int, str, tuple], name: str = "scan.nii", keep: int | None = None) -> Path:
    """A NIfTI-1 file with header fields overwritten.

    Args:
        folder: where to write.
        edits: byte, struct format and values of each field.
        name: file name; packed if it ends in .gz.
        keep: bytes of the file to keep.
    """
    data = bytearray(save_nifti(folder, name="plain.nii").read_bytes())
    for at, form, values in edits:
        struct.pack_into("<" + form, data, at, *values)
    (folder / "plain.nii").unlink()
    path = folder / name
    path.write_bytes(gzip.compress(bytes(data[:keep])) if name.endswith(".gz") else bytes(data[:keep]))
    return path


def written(folder: Path, name: str, data: bytes) -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(data)
    return path


@contextmanager
def file_size_limit(count: int) -> Iterator[None]:
    """Let no file of this process grow beyond `count` bytes: what a full disk does, without filling one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def series(**options: object) -> Callable[[Path], Path]:
    """Build a DICOM folder by `make_series`."""

    def build(folder: Path) -> Path:
        make_series(folder / "dicom", **options)
        return folder / "dicom"

    return build


def with_tag(keyword: str, text: str) -> Callable[[Path], Path]:
    """Build a series whose third slice has a raw text in a tag."""
    return series(edit=lambda made, k: set_raw(made, keyword, text) if k == 2 else None)


def without_tag(keyword: str) -> Callable[[Path], Path]:
    return series(edit=lambda made, k: delattr(made, keyword) if k == 2 else None)


def truncated_gz(folder: Path) -> Path:
    path = save_nifti(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def corrupt_gz(folder: Path) -> Path:
    path = save_nifti(folder, image((20, 20, 20)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    path.write_bytes(data)
    return path


def gzip_bomb(folder: Path) -> Path:
    path = patched(folder, (40, "8h", (3, 30000, 30000, 1000, 1, 1, 1, 1)), name="bomb.nii.gz")
    return path


def zeros(folder: Path) -> Path:
    return save_nifti(folder, nibabel.Nifti1Image(np.zeros((9, 8, 7), np.int16), np.eye(4)))


def all_nan(folder: Path) -> Path:
    return save_nifti(folder, nibabel.Nifti1Image(np.full((9, 8, 7), np.nan, np.float32), np.eye(4)))


def rgb(folder: Path) -> Path:
    voxels = np.zeros((9, 8, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return save_nifti(folder, nibabel.Nifti1Image(voxels, np.eye(4)))


def self_link(folder: Path) -> Path:
    path = folder / "scan.nii.gz"
    path.symlink_to(path)
    return path


def named_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def two_series(folder: Path) -> Path:
    make_series(folder / "dicom", prefix="a", edit=lambda made, k: setattr(made, "SeriesNumber", 4))
    make_series(folder / "dicom", prefix="b", seed=1)
    return folder / "dicom"


def same_number(folder: Path) -> Path:
    make_series(folder / "dicom", prefix="a")
    make_series(folder / "dicom", prefix="b", seed=1)
    return folder / "dicom"


def only_localizer(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    return series(edit=edit)(folder)


def screenshots(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

    return series(edit=edit)(folder)


def two_images_of_one_place(folder: Path) -> Path:
    paths = make_series(folder / "dicom")
    extra = make_series(folder / "extra", seed=5)
    for path in paths[:1]:
        other = dicom_maker.pydicom.dcmread(extra[0])
        first = dicom_maker.pydicom.dcmread(path)
        first.PixelData = other.PixelData
        first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dicom_maker.save(first, folder / "dicom" / "twin.dcm")
    shutil.rmtree(folder / "extra")
    return folder / "dicom"


def mixed_orientation(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        if k > 3:
            made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    return series(edit=edit)(folder)


def uneven(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.ImagePositionPatient = [-10, -20, 30 + 2.5 * k + (0.7 if k == 3 else 0)]

    return series(edit=edit)(folder)


def colour_dicom(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PixelData = bytes(made.Rows * made.Columns * 3)

    return series(edit=edit)(folder)


def cut_pixels(folder: Path) -> Path:
    paths = make_series(folder / "dicom")
    paths[2].write_bytes(paths[2].read_bytes()[:-30])
    return folder / "dicom"


def unknown_compression(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")  # MPEG-4
        made.PixelData = dicom_maker.pydicom.encaps.encapsulate([b"\0" * 64])
        made["PixelData"].VR = "OB"

    return series(edit=edit)(folder)


def damaged_compression(folder: Path) -> Path:
    def edit(made: object, k: int) -> None:
        made.file_meta.TransferSyntaxUID = JPEGLSLossless
        made.PixelData = dicom_maker.pydicom.encaps.encapsulate([b"\xff\xd8" + b"\0" * 62])
        made["PixelData"].VR = "OB"

    return series(edit=edit)(folder)


def no_pixels(folder: Path) -> Path:
    return series(edit=lambda made, k: delattr(made, "PixelData") if k == 1 else None)(folder)


def nrrd(lines: str, data: bytes = b"\1" * 504 + b"\2" * 504) -> Callable[[Path], Path]:
    return lambda folder: written(folder, "scan.nrrd", ("NRRD0004\n" + lines + "\n\n").encode() + data)


NRRD = "type: short\ndimension: 3\nsizes: 9 8 7\nendian: little\nencoding: raw\nspace: left-posterior-superior\n"
PLACE = "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)"
MHA = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 9 8 7\nElementType = MET_SHORT\n"


def mha(lines: str, data: bytes = b"\1" * 504 + b"\2" * 504, name: str = "scan.mha") -> Callable[[Path], Path]:
    return lambda folder: written(folder, name, (MHA + lines + "\n").encode() + data)
