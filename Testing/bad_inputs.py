"""Inputs that cannot be used, each with the error and the words that a user must get.

`BAD_INPUTS` is run on the reader and end to end on the command line. A case builds its files in an empty folder and
returns what to hand to the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bad_files as make
import numpy as np
from dicom_maker import make_enhanced

from medfm_core.errors import GeometryError, InputError, MedFMError

Source = Path | list[Path]


@dataclass(frozen=True)
class BadInput:
    """One input that must end in one sentence.

    Args:
        name: test id.
        build: makes the files in an empty folder and returns the source.
        error: class that the reader raises.
        words: what the sentence must say.
        series: the --series to ask for, if any.
    """

    name: str
    build: Callable[[Path], Source]
    error: type[MedFMError]
    words: tuple[str, ...]
    series: str | None = None


_SFORM, _QFORM = (280, "12f"), (252, "2h")
_NAN_ROWS = (float("nan"), 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)

BAD_INPUTS: tuple[BadInput, ...] = (
    BadInput("missing", lambda folder: folder / "nothing.nii.gz", InputError, ("nothing.nii.gz", "does not exist")),
    BadInput("empty_file", lambda folder: make.written(folder, "scan.nii.gz", b""), InputError, ("is empty",)),
    BadInput("unreadable", make.self_link, InputError, ("cannot read", "scan.nii.gz")),
    BadInput("named_pipe", make.named_pipe, InputError, ("not a regular file",)),
    BadInput("empty_folder", lambda folder: folder, InputError, ("holds no readable DICOM images",)),
    BadInput(
        "wrong_extension",
        lambda folder: make.written(folder, "scan.nii.gz", b"\x89PNG\r\n\x1a\n" + bytes(600)),
        InputError,
        ("PNG picture", "NIfTI"),
    ),
    BadInput(
        "text_file", lambda folder: make.written(folder, "scan.nii", b"hello there\n" * 99), InputError, ("no kind",)
    ),
    BadInput(
        "zip", lambda folder: make.written(folder, "scan.zip", b"PK\x03\x04" + bytes(99)), InputError, ("zip archive",)
    ),
    BadInput("nifti_truncated_gz", make.truncated_gz, InputError, ("cut off",)),
    BadInput("nifti_corrupt_gz", make.corrupt_gz, InputError, ("damaged",)),
    BadInput("nifti_truncated", lambda folder: make.patched(folder, keep=600), InputError, ("cut off", "1,008 bytes")),
    BadInput("nifti_header_only", lambda folder: make.patched(folder, keep=200), InputError, ("within its header",)),
    BadInput("nifti_bomb", make.gzip_bomb, InputError, ("cut off", "announces")),
    BadInput(
        "nifti_nan_affine",
        lambda folder: make.patched(folder, (*_SFORM, _NAN_ROWS)),
        GeometryError,
        ("position", "NaN"),
    ),
    BadInput(
        "nifti_zero_affine", lambda folder: make.patched(folder, (*_SFORM, (0,) * 12)), GeometryError, ("singular",)
    ),
    BadInput(
        "nifti_no_position_no_size",
        lambda folder: make.patched(folder, (*_QFORM, (0, 0)), (76, "4f", (1, 0, 0, 0))),
        GeometryError,
        ("neither a position nor a voxel size",),
    ),
    BadInput(
        "nifti_4d", lambda folder: make.save_nifti(folder, make.image((9, 8, 7, 3))), InputError, ("3 volumes", "4D")
    ),
    BadInput("nifti_rgb", make.rgb, InputError, ("RGB",)),
    BadInput(
        "nifti_complex",
        lambda folder: make.save_nifti(folder, make.image(dtype="c8")),
        InputError,
        ("complex numbers",),
    ),
    BadInput(
        "nifti_2d",
        lambda folder: make.save_nifti(folder, make.image((9, 8))),
        InputError,
        ("no volume", "9 x 8 voxels"),
    ),
    BadInput(
        "nifti_one_slice",
        lambda folder: make.save_nifti(folder, make.image((9, 8, 1))),
        InputError,
        ("at least 2 slices",),
    ),
    BadInput(
        "nifti_negative_dims",
        lambda folder: make.patched(folder, (40, "8h", (3, -9, 8, 7, 1, 1, 1, 1))),
        InputError,
        ("impossible size", "-9 x 8 x 7"),
    ),
    BadInput("nifti_no_dims", lambda folder: make.patched(folder, (40, "h", (0,))), InputError, ("0 dimensions",)),
    BadInput("nifti_offset_beyond", lambda folder: make.patched(folder, (108, "f", (1e6,))), InputError, ("cut off",)),
    BadInput(
        "nifti_offset_nan", lambda folder: make.patched(folder, (108, "f", (float("nan"),))), InputError, ("byte nan",)
    ),
    BadInput(
        "nifti_slope_infinite",
        lambda folder: make.patched(folder, (112, "f", (float("inf"),))),
        InputError,
        ("scl_slope",),
    ),
    BadInput(
        "nifti_inter_nan",
        lambda folder: make.patched(folder, (112, "2f", (2.0, float("nan")))),
        InputError,
        ("scl_inter",),
    ),
    BadInput("nifti_metres", lambda folder: make.patched(folder, (123, "b", (1,))), GeometryError, ("metres",)),
    BadInput("nifti_datatype", lambda folder: make.patched(folder, (70, "h", (99,))), InputError, ("datatype 99",)),
    BadInput("nifti_zero_filled", make.zeros, InputError, ("blank", "every voxel holds 0")),
    BadInput("nifti_all_nan", make.all_nan, InputError, ("blank", "NaN")),
    BadInput(
        "analyze", lambda folder: make.patched(folder, (344, "4s", (b"\0\0\0\0",))), InputError, ("Analyze", "left")
    ),
    BadInput("nifti_series_asked", make.save_nifti, InputError, ("no DICOM series",), series="3"),
    BadInput("nrrd_truncated", make.nrrd(make.NRRD + make.PLACE, b"\1" * 500), InputError, ("cut off",)),
    BadInput(
        "nrrd_nan_directions",
        make.nrrd(make.NRRD + make.PLACE.replace("(0,1,0)", "(0,nan,0)")),
        GeometryError,
        ("NaN",),
    ),
    BadInput("nrrd_no_directions", make.nrrd(make.NRRD + "space origin: (0,0,0)"), GeometryError, ("no voxel size",)),
    BadInput(
        "nrrd_detached_missing",
        make.nrrd(make.NRRD + make.PLACE + "\ndata file: gone.raw"),
        InputError,
        ("gone.raw", "missing"),
    ),
    BadInput(
        "nrrd_detached_outside",
        make.nrrd(make.NRRD + make.PLACE + "\ndata file: ../../etc/passwd"),
        InputError,
        ("outside its own",),
    ),
    BadInput("nrrd_type", make.nrrd(make.NRRD.replace("short", "block") + make.PLACE), InputError, ("block",)),
    BadInput(
        "mha_truncated",
        make.mha("ElementSpacing = 1 1 1\nElementDataFile = LOCAL", b"\1" * 99),
        InputError,
        ("cut off",),
    ),
    BadInput(
        "mha_inf_spacing", make.mha("ElementSpacing = 1 inf 1\nElementDataFile = LOCAL"), GeometryError, ("Spacing",)
    ),
    BadInput(
        "mhd_detached_missing",
        make.mha("ElementSpacing = 1 1 1\nElementDataFile = gone.raw", b"", "scan.mhd"),
        InputError,
        ("gone.raw", "missing"),
    ),
    BadInput(
        "mha_channels",
        make.mha("ElementSpacing = 1 1 1\nElementNumberOfChannels = 3\nElementDataFile = LOCAL"),
        InputError,
        ("3 channels",),
    ),
    BadInput("dicom_mixed_series", make.two_series, InputError, ("2 series", "Chest 2.5", "6 images", "--series")),
    BadInput("dicom_ambiguous_number", make.same_number, InputError, ("2 series", "number '3'", "HASH"), series="3"),
    BadInput("dicom_unknown_series", make.two_series, InputError, ("no series '99'", "Chest 2.5"), series="99"),
    BadInput("dicom_only_localizer", make.only_localizer, InputError, ("no volume", "localizer")),
    BadInput("dicom_screenshots", make.screenshots, InputError, ("no volume", "screen capture")),
    BadInput(
        "dicom_missing_slice",
        make.series(skip=[3]),
        GeometryError,
        ("lacks 1 slice", "35.0 and 40.0 mm", "2.5 mm apart"),
    ),
    BadInput("dicom_missing_slices", make.series(skip=[2, 3]), GeometryError, ("lacks 2 slices", "32.5 and 40.0 mm")),
    BadInput("dicom_uneven", make.uneven, GeometryError, ("unevenly spaced",)),
    BadInput("dicom_single_slice", make.series(skip=[0, 1, 2, 3, 4]), InputError, ("a single image",)),
    BadInput("dicom_same_place_differs", make.two_images_of_one_place, InputError, ("different images of one place",)),
    BadInput("dicom_mixed_orientation", make.mixed_orientation, GeometryError, ("mixes 2 orientations",)),
    BadInput(
        "dicom_nan_position",
        make.with_tag("ImagePositionPatient", "nan\\0\\30"),
        GeometryError,
        ("ImagePositionPatient (0020,0032)",),
    ),
    BadInput(
        "dicom_inf_orientation",
        make.with_tag("ImageOrientationPatient", "inf\\0\\0\\0\\1\\0"),
        GeometryError,
        ("(0020,0037)",),
    ),
    BadInput(
        "dicom_nan_spacing", make.with_tag("PixelSpacing", "nan\\0.7"), GeometryError, ("PixelSpacing (0028,0030)",)
    ),
    BadInput(
        "dicom_zero_spacing", make.with_tag("PixelSpacing", "0\\0.7"), GeometryError, ("PixelSpacing", "not positive")
    ),
    BadInput("dicom_nan_slope", make.with_tag("RescaleSlope", "nan"), GeometryError, ("RescaleSlope (0028,1053)",)),
    BadInput(
        "dicom_inf_intercept",
        make.with_tag("RescaleIntercept", "inf"),
        GeometryError,
        ("RescaleIntercept (0028,1052)",),
    ),
    BadInput(
        "dicom_text_spacing", make.with_tag("PixelSpacing", "wide\\0.7"), GeometryError, ("damaged PixelSpacing",)
    ),
    BadInput(
        "dicom_long_orientation",
        make.with_tag("ImageOrientationPatient", "1\\0\\0\\1\\0\\0"),
        GeometryError,
        ("right angles",),
    ),
    BadInput(
        "dicom_no_position", make.without_tag("ImagePositionPatient"), GeometryError, ("no ImagePositionPatient",)
    ),
    BadInput("dicom_no_spacing", make.without_tag("PixelSpacing"), GeometryError, ("no PixelSpacing",)),
    BadInput("dicom_rgb", make.colour_dicom, InputError, ("colour",)),
    BadInput("dicom_cut_pixels", make.cut_pixels, InputError, ("cut off or damaged",)),
    BadInput("dicom_no_pixels", make.no_pixels, InputError, ("no pixel data",)),
    BadInput("dicom_unknown_compression", make.unknown_compression, InputError, ("MPEG",)),
    BadInput("dicom_damaged_compression", make.damaged_compression, MedFMError, ("JPEG-LS",)),
    BadInput(
        "dicom_enhanced_gap",
        lambda folder: make_enhanced(folder / "enhanced.dcm", step=(0, 0, 2.5), order=[0, 1, 4, 5]),
        GeometryError,
        ("lacks 2 slices",),
    ),
    BadInput(
        "dicom_blank",
        make.series(voxels=np.full((6, 8, 7), 24, np.uint16)),
        InputError,
        ("blank", "every voxel holds -1000"),
    ),
)
